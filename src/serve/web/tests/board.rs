//! The board that runs an image, through the page.

use super::{HOSTILE, House, json};
use crate::limits;
use base64::{Engine, engine::general_purpose::STANDARD};

#[test]
fn what_the_keeper_says_is_passed_on_and_its_refusals_too() {
    let house = House::new();
    let browser = house.logged_in();
    let board = browser.ask("GET", "/api/board", None).json();
    assert_eq!((&board["slot"], &board["title"]), (&json!("a"), &json!(HOSTILE)));
    let set = |text: &str| browser.ask("PUT", "/api/board/network", Some(json!({ "text": text })));
    assert_eq!(set("").status, 200);
    let refused = set("bad");
    assert_eq!((refused.status, refused.words()), (422, "network, line 1".into()));
    for (text, words) in
        [("nonsense", "The board answers nonsense."), ("silence", "The board does not answer.")]
    {
        let failed = set(text);
        assert_eq!((failed.status, failed.words()), (502, words.into()));
    }
    assert_eq!(browser.ask("POST", "/api/board/restart", Some(json!({}))).status, 200);
}

#[test]
fn an_update_comes_in_parts_of_a_bounded_size() {
    let house = House::new();
    let browser = house.logged_in();
    let send = |at: u64, octets: usize| {
        let octets = STANDARD.encode(vec![7; octets]);
        browser.ask("POST", "/api/board/update/part", Some(json!({ "at": at, "octets": octets })))
    };
    assert_eq!(send(0, limits::BOARD_PART_BYTES).status, 200);
    assert_eq!(send(0, limits::BOARD_PART_BYTES + 1).status, 413);
    let late = send((1 << 40) + 1, 1);
    assert_eq!((late.status, late.words()), (422, "too large".into()));
    let nonsense = json!({ "at": 0, "octets": "!" });
    assert_eq!(browser.ask("POST", "/api/board/update/part", Some(nonsense)).status, 400);
    let done = browser.ask("POST", "/api/board/update", Some(json!({})));
    assert_eq!(done.json(), json!({ "version": "0.2.0" }));
}
