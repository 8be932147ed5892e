use super::*;
use crate::{
    sys::{Order, linux::tests::Scratch},
    time::Wall,
};
use futures_lite::future::block_on;

#[derive(Default)]
struct HandClock(Cell<Instant>);

impl Clock for HandClock {
    fn now(&self) -> Instant {
        self.0.get()
    }
    fn wall(&self) -> Option<Wall> {
        None
    }
    fn sleep_until(&self, _: Instant) -> Pending<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Not a test: what the tests below start as their keeper.
#[test]
#[ignore = "is the keeper of the other tests"]
fn keeper_of_the_tests() {
    keeper::keep().unwrap();
}

fn recipe() -> Recipe {
    let name = concat!(module_path!(), "::keeper_of_the_tests");
    let name = name.split_once("::").unwrap().1;
    let arguments = ["--exact", name, "--ignored"].map(Into::into).to_vec();
    Recipe { program: std::env::current_exe().unwrap(), arguments }
}

struct Bench {
    store: Store,
    clock: Rc<HandClock>,
    scratch: Scratch,
}

impl Bench {
    fn new(recipe: Recipe, idle: Duration) -> Bench {
        let (scratch, clock) = (Scratch::new(), Rc::new(HandClock::default()));
        let dir = scratch.path().join("index");
        Bench { store: Store::with_recipe(&dir, clock.clone(), recipe, idle), clock, scratch }
    }

    fn put(&self, key: &str, value: &str) -> io::Result<()> {
        let value = Some(value.as_bytes().to_vec());
        let change = IndexChange { tree: "t", key: key.into(), value };
        block_on(self.store.apply(vec![change]))
    }

    fn all(&self) -> io::Result<String> {
        let range = Range { prefix: b"", from: None, order: Order::Rising, limit: 9 };
        let entries = block_on(self.store.scan("t", range))?;
        let entry = |(key, value): (Vec<u8>, Vec<u8>)| {
            format!("{}={} ", String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn kill(&self) {
        lock(&self.store.desk).keeper.as_mut().unwrap().kill();
    }
}

const LONG: Duration = Duration::from_mins(1);

#[test]
fn nothing_happens_before_it_is_used() {
    let bench = Bench::new(recipe(), LONG);
    block_on(bench.store.flush()).unwrap();
    assert_eq!(bench.store.trouble(), "");
    assert!(std::fs::read_dir(bench.scratch.path()).unwrap().next().is_none());
}

#[test]
fn what_is_put_is_found_also_after_a_rest_without_a_flush() {
    let bench = Bench::new(recipe(), Duration::from_millis(1));
    for i in 0..5 {
        bench.put(&format!("k{i}"), "v").unwrap();
        while lock(&bench.store.desk).keeper.is_some() {
            std::thread::yield_now();
        }
    }
    assert_eq!(bench.all().unwrap(), "k0=v k1=v k2=v k3=v k4=v ");
    assert_eq!(bench.store.trouble(), "");
}

#[test]
fn a_keeper_that_is_killed_is_replaced_and_what_was_flushed_is_there() {
    let bench = Bench::new(recipe(), LONG);
    bench.put("a", "1").unwrap();
    block_on(bench.store.flush()).unwrap();
    bench.kill();
    bench.put("b", "2").unwrap();
    bench.kill();
    assert!(bench.all().unwrap().starts_with("a=1 "));
    assert_eq!(bench.store.trouble(), "");
}

#[test]
fn a_damaged_index_starts_anew_and_says_so() {
    let bench = Bench::new(recipe(), LONG);
    std::fs::write(bench.scratch.path().join("index"), "no index").unwrap();
    bench.put("a", "1").unwrap();
    assert_eq!(bench.all().unwrap(), "a=1 ");
    assert!(bench.store.trouble().contains("starts anew"), "{}", bench.store.trouble());
}

#[test]
fn that_it_started_anew_is_told_until_somebody_deletes_the_old_one() {
    let bench = Bench::new(recipe(), LONG);
    std::fs::write(bench.scratch.path().join("index"), "no index").unwrap();
    bench.put("a", "1").unwrap();
    assert!(bench.store.trouble().contains("starts anew"));
    // Each request is done behind the look that the question has started.
    bench.put("a", "1").unwrap();
    assert!(bench.store.trouble().contains("index.bad-1"), "it is still there");
    std::fs::remove_file(bench.scratch.path().join("index.bad-1")).unwrap();
    bench.put("a", "1").unwrap();
    bench.store.trouble();
    bench.put("a", "1").unwrap();
    assert_eq!(bench.store.trouble(), "");
}

#[test]
fn trouble_is_told_at_once_while_the_index_is_at_work() {
    let bench = Bench::new(recipe(), LONG);
    let _at_work = lock(&bench.store.desk);
    assert_eq!((bench.store.trouble().as_str(), bench.store.written()), ("", None));
}

#[test]
fn what_it_writes_is_counted_also_by_keepers_that_are_gone() {
    let bench = Bench::new(recipe(), LONG);
    let mut before = 0;
    for round in 0..3 {
        bench.put(&format!("k{round}"), &"v".repeat(1000)).unwrap();
        block_on(bench.store.flush()).unwrap();
        bench.kill();
        let Some(written) = bench.store.written() else { return }; // This kernel does not count.
        // In a file system in memory nothing is ever written.
        assert!(written >= before, "{round}: {written} after {before}");
        before = written;
    }
}

#[test]
fn an_index_damaged_under_way_fails_once_and_starts_anew() {
    let bench = Bench::new(recipe(), LONG);
    for i in 0..9 {
        bench.put(&format!("k{i}"), &"v".repeat(1000)).unwrap();
    }
    block_on(bench.store.flush()).unwrap();
    bench.kill();
    block_on(bench.store.apply(vec![])).unwrap(); // Open again, nothing read yet.
    let db = bench.scratch.path().join("index/db");
    let length = usize::try_from(std::fs::metadata(&db).unwrap().len()).unwrap();
    std::fs::write(&db, vec![0xa5; length]).unwrap();
    assert!(bench.all().is_err());
    assert!(bench.store.trouble().contains("starts anew"), "{}", bench.store.trouble());
    bench.clock.0.set(Instant(0) + limits::INDEX_RETRY_FIRST);
    bench.put("a", "1").unwrap();
    assert_eq!(bench.all().unwrap(), "a=1 ");
}

#[test]
fn without_a_keeper_requests_fail_at_once_and_are_tried_again_later() {
    let none = Recipe { program: "/nonexistent".into(), arguments: vec![] };
    // These die at once, before they say anything.
    let dying = Recipe { program: "/bin/true".into(), arguments: vec![] };
    for bad in [none, dying] {
        let bench = Bench::new(bad, LONG);
        assert!(bench.put("a", "1").is_err());
        assert!(bench.store.trouble().starts_with("There is no history at the moment"));
        lock(&bench.store.desk).recipe = recipe();
        let resting = bench.put("a", "1").unwrap_err().to_string();
        assert!(resting.contains("rests"), "{resting}");
        bench.clock.0.set(Instant(0) + limits::INDEX_RETRY_FIRST);
        bench.put("a", "1").unwrap();
        assert_eq!(bench.all().unwrap(), "a=1 ");
        assert_eq!(bench.store.trouble(), "", "it is over");
    }
}

#[test]
fn the_rest_after_failures_doubles_up_to_its_bound() {
    let none = Recipe { program: "/nonexistent".into(), arguments: vec![] };
    let bench = Bench::new(none, LONG);
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert!(bench.put("a", "1").is_err());
        let until = bench.store.retry_at.get();
        waits.push(until.since(bench.clock.now()));
        bench.clock.0.set(until);
    }
    assert_eq!(waits[..3], [1, 2, 4].map(|n| limits::INDEX_RETRY_FIRST * n));
    assert_eq!(waits.last(), Some(&limits::INDEX_RETRY_MAX));
}

#[test]
fn what_is_too_large_is_refused_here() {
    let bench = Bench::new(recipe(), LONG);
    let refused = bench.put(&"k".repeat(limits::INDEX_KEY_BYTES + 1), "").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(lock(&bench.store.desk).keeper.is_none());
}
