//! A small map: its pairs in one vector, sorted by key.

use std::{borrow::Borrow, vec};

/// Values by key, for some hundreds of them.
///
/// It does what a `BTreeMap` does by the same names, in the same order. Each kind of that map adds
/// 5 KB more to the program than one of this (measured, of thirty). A look takes some comparisons;
/// an insertion or removal moves all pairs behind its place: a microsecond where there are
/// hundreds, too long where there are many thousands, unless they come in their order. Values of
/// some hundred octets are better in boxes.
///
/// A set is one whose values are `()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<K, V>(Vec<(K, V)>);

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Pairs<K, V> {
        Pairs(Vec::new())
    }
}

impl<K: Ord, V> Pairs<K, V> {
    /// An empty one.
    pub fn new() -> Pairs<K, V> {
        Pairs::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the key is, or where it would have to be.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// Whether there is a value of this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// The value of this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// The value of this key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().and_then(|at| self.0.get_mut(at)).map(|(_, value)| value)
    }

    /// The value of this key; where there was none, the one that `make` makes.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, make()));
                at
            }
        };
        &mut self.0[at].1
    }

    /// This is the value of this key from now on. Returns the one before; then the key that was
    /// there stays.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, before)| std::mem::replace(before, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Take out the value of this key.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Take out the pair with the least key.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Take out all for which `keep` says no.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// Take out all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All pairs by key, the least first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, the least first.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// All values by key, that of the least first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K, V> IntoIterator for Pairs<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> vec::IntoIter<(K, V)> {
        self.0.into_iter()
    }
}

/// Of several values of one key the last counts.
impl<K: Ord, V> Extend<(K, V)> for Pairs<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, pairs: T) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

/// Of several values of one key the last counts. Soonest where they are sorted.
impl<K: Ord, V> FromIterator<(K, V)> for Pairs<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Pairs<K, V> {
        let mut all = Pairs::new();
        all.extend(pairs);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use std::collections::BTreeMap;

    fn all(pairs: &Pairs<String, u64>) -> Vec<(String, u64)> {
        pairs.iter().map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// One of all that can be done, to both.
    fn step(chance: &mut Chance, pairs: &mut Pairs<String, u64>, tree: &mut BTreeMap<String, u64>) {
        let (key, value) = (format!("{}", chance.below(300)), chance.next() % 1000);
        match chance.below(20) {
            0..8 => assert_eq!(pairs.insert(key.clone(), value), tree.insert(key, value)),
            8..11 => assert_eq!(pairs.remove(key.as_str()), tree.remove(key.as_str())),
            11..14 => {
                *pairs.entry(key.clone(), || value) += 1;
                *tree.entry(key).or_insert_with(|| value) += 1;
            }
            14..16 => {
                let changed = pairs.get_mut(key.as_str()).map(std::mem::take);
                assert_eq!(changed, tree.get_mut(key.as_str()).map(std::mem::take));
            }
            16 => assert_eq!(pairs.pop_first(), tree.pop_first()),
            17 => {
                let more = (0..4).map(|n| (format!("{}", value % (n + 7)), value + n));
                pairs.extend(more.clone());
                tree.extend(more);
            }
            18 if value < 100 => {
                pairs.retain(|key, known| key.len() > 1 && *known % 3 > 0);
                tree.retain(|key, known| key.len() > 1 && *known % 3 > 0);
            }
            19 if value < 5 => {
                pairs.clear();
                tree.clear();
            }
            _ => assert_eq!(pairs.get(&key), tree.get(&key)),
        }
    }

    #[test]
    fn it_does_what_a_tree_does() {
        let (mut chance, mut most) = (Chance(0x9e37_79b9_7f4a_7c15), 0);
        let (mut pairs, mut tree) = (Pairs::new(), BTreeMap::new());
        for _ in 0..5000 {
            step(&mut chance, &mut pairs, &mut tree);
            most = most.max(tree.len());
            assert_eq!((pairs.len(), pairs.is_empty()), (tree.len(), tree.is_empty()));
            assert!(pairs.iter().eq(tree.iter()) && pairs.iter().rev().eq(tree.iter().rev()));
            assert!(pairs.keys().eq(tree.keys()) && pairs.values().eq(tree.values()));
            let key = format!("{}", chance.below(300));
            assert_eq!(pairs.contains_key(key.as_str()), tree.contains_key(key.as_str()));
        }
        assert!(most > 100, "{most} are few");
        assert!(pairs.into_iter().eq(tree));
    }

    #[test]
    fn it_is_sorted_however_it_was_made_and_the_last_value_counts() {
        let pairs = [("b", 1), ("a", 2), ("c", 3), ("a", 4)];
        let made: Pairs<String, u64> =
            pairs.map(|(key, value)| (key.to_string(), value)).into_iter().collect();
        assert_eq!(all(&made), [("a".into(), 4), ("b".into(), 1), ("c".into(), 3)]);
        let mut same = made.clone();
        assert_eq!(same, made);
        same.insert("b".into(), 2);
        assert_ne!(same, made);
        assert_eq!(Pairs::<String, u64>::default().pop_first(), None);
    }
}
