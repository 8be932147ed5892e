"""The list of cases. A case is a function whose name is the sentence it proves."""
CASES = []


def case(function):
    CASES.append(function)
    return function


def slow_case(function):
    """A case that mostly waits: it runs beside the others, from the start on."""
    function.slow = True
    return case(function)


def sentence(function):
    return function.__name__.replace("_", " ")
