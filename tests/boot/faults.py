"""The card is full, read-only, or fails: clear words, mail refused for now, and everything back when the fault is gone."""
import os
import smtplib
import time

import world
from machine import HOST
from page import Page
from starts import case, used_machine

BOARD = "x86-64-uefi"
# From this flush of the guest on, the card takes no more writes.
FLUSHES_BEFORE_IT_FAILS = 150


def submitted(board, subject, octets=2000):
    """Whether a message was taken, and the code and words if not."""
    try:
        world.submit(board, subject, octets)
        return True, (250, "")
    except smtplib.SMTPResponseException as error:
        return False, (error.smtp_code, error.smtp_error.decode(errors="replace"))
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        return False, (code, words.decode(errors="replace"))
    except (smtplib.SMTPException, OSError) as error:
        return False, (0, str(error))


def owing(used, title, **options):
    """A board whose mail nobody takes yet."""
    sink = world.Sink()
    sink.refuse = True
    board = used_machine(used, BOARD, title, **options).up()
    board.serves()
    page = Page(board).set_up()
    page.configure(routes=[{"for": "*", "via": "%s:%d" % (HOST, sink.port), "tls": "none"}])
    return board, page, sink


def all_come_through(board, page, sink, taken):
    sink.refuse = False

    def everything():
        page.ask("POST", "/api/queue/retry", {})
        return set(taken) <= set(sink.subjects())
    board.until(everything, 120, "mail that was taken")


@case
def a_full_data_partition_refuses_mail_for_now_says_so_and_recovers(used):
    # A medium as small as the image: the partition is full long before the spool has the room that it may take.
    board, page, sink = owing(used, "full", octets=0)
    taken, refused = [], None
    for octets in (700_000, 60_000, 2000):
        for n in range(3000):
            subject = "full-%d-%d" % (octets, n)
            good, said = submitted(board, subject, octets)
            if not good:
                refused = said
                break
            taken.append(subject)
    assert refused and refused[0] == 452 and "4.3.1" in refused[1], refused
    problems = [one["words"] for one in page.done("GET", "/api/status")["problems"]]
    assert any("full" in words or "room" in words for words in problems), problems
    all_come_through(board, page, sink, taken)
    good, said = submitted(board, "after")
    assert good, said
    return "%d were taken, then: %d %s" % (len(taken), *refused)


@case
def a_card_that_became_read_only_is_told_to_who_comes_and_the_board_is_back_with_a_good_one(used):
    board, page, sink = owing(used, "read-only")
    world.submit(board, "kept before")
    page.done("POST", "/api/board/restart", {})
    board.ended()
    writable = board.disk
    board.disk = writable + ",read-only=on"
    board.up()
    board.until(lambda: board.banner().startswith(b"421 "), 150, "421 from the stand-in")
    words = board.banner()
    assert words.startswith(b"421 4.3.0 The relay is not running"), words
    page_says = board.get("/").decode(errors="replace")
    assert " 503 " in page_says and "card" in page_says, page_says
    # It does not start again and again.
    time.sleep(60)
    assert board.process.poll() is None and board.serial().count("Waypost 0") < 12, board.serial()
    board.cut()
    board.disk = writable
    board.up()
    board.serves()
    page = Page(board).log_in()
    all_come_through(board, page, sink, ["kept before"])
    return words.decode().strip()


@case
def a_card_that_fails_while_mail_comes_loses_nothing_that_was_taken(used):
    board, page, sink = owing(used, "failing")
    page.done("POST", "/api/board/restart", {})
    board.ended()
    rules = os.path.join(board.folder, "rules")
    with open(rules, "w") as f:
        for n in range(1, FLUSHES_BEFORE_IT_FAILS + 1):
            f.write('[set-state]\nstate = "%d"\nevent = "flush_to_disk"\nnew_state = "%d"\n' % (n, n + 1))
        f.write('[inject-error]\nstate = "%d"\nevent = "write_aio"\nerrno = "5"\nimmediately = "off"\nonce = "off"\n'
                % (FLUSHES_BEFORE_IT_FAILS + 1))
    writable = board.disk
    board.disk = "driver=raw,file.driver=blkdebug,file.config=%s,file.image.driver=file,file.image.filename=%%s" % rules
    board.up()
    board.serves()
    taken, refused = [], []
    for n in range(600):
        good, said = submitted(board, "failing-%d" % n)
        if good:
            taken.append("failing-%d" % n)
        else:
            refused.append(said)
            if len(refused) == 5:
                break
            time.sleep(1)
    assert refused, "the card never failed"
    assert all(code in (421, 451, 452) for code, _ in refused), refused
    page_says = board.get("/healthz").decode(errors="replace")
    told = Page(board)
    try:
        told.log_in()
        problems = [one["words"] for one in told.done("GET", "/api/status")["problems"]]
    except (OSError, AssertionError):
        problems = [board.get("/").decode(errors="replace")]
    assert problems, page_says
    time.sleep(30)
    assert board.process.poll() is None, "no crash loop"
    board.cut()
    board.disk = writable
    board.up()
    board.serves()
    page = Page(board).log_in()
    all_come_through(board, page, sink, taken)
    return "%d were taken, then: %d %s; the page: %s" % (len(taken), *refused[0], " / ".join(problems)[:200])
