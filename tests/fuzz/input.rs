//! What a target makes of the fuzzer's octets.

/// Octets that come from outside, and choices of everything else: `octets choices n`, the last
/// octet saying how many before it are choices. So octets may grow and shrink without another
/// choice being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) octets: &'a [u8],
    pub(crate) choices: &'a [u8],
}

const CHOICES: usize = 64;

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Input<'a> {
        let Some((number, data)) = data.split_last() else {
            return Input { octets: &[], choices: &[] };
        };
        let number = usize::from(*number) % CHOICES;
        let (octets, choices) = data.split_at(data.len().saturating_sub(number));
        Input { octets, choices }
    }

    /// The input that reads as these.
    pub(crate) fn compose(octets: &[u8], choices: &[u8]) -> Vec<u8> {
        let number = u8::try_from(choices.len() % CHOICES).expect("below 64");
        [octets, choices, &[number]].concat()
    }

    /// Choice number `n`; 0 where none was made.
    pub(crate) fn choice(&self, n: usize) -> usize {
        self.choices.get(n).copied().unwrap_or(0).into()
    }

    /// One of `all`, by choice number `n`.
    pub(crate) fn one_of<T: Copy>(&self, n: usize, all: &[T]) -> T {
        all[self.choice(n) % all.len()]
    }

    /// The octets as text, as far as they are UTF-8.
    pub(crate) fn text(&self) -> &'a str {
        self.octets.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }
}
