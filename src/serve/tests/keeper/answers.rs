//! What relay and keeper say to each other, by their socket.

use super::*;
use crate::{
    board::{SOCKET, desk},
    serve::{
        board::{Keeper, TELL},
        tests::wire::Wire,
    },
};

impl Home {
    /// What the keeper answers to a line.
    pub(super) fn ask(&self, question: &str) -> String {
        let wire = self.call();
        wire.send(format!("{question}\n").as_bytes());
        self.world.run();
        let said = wire.take();
        assert!(said.ends_with('\n') && wire.is_over(), "one line: {said:?}");
        said
    }

    fn call(&self) -> Wire {
        self.world.connect(SOCKET, CAMERA).expect("the keeper listens")
    }

    /// What the relay makes of the octets that come back, and how long it took.
    fn relay_hears(
        &self,
        question: &str,
        answer: Option<Vec<u8>>,
    ) -> (Result<String, String>, Duration) {
        let (keeper, begun) = (Keeper { socket: Some(SOCKET.into()) }, self.time());
        *self.land.answer.borrow_mut() = answer;
        let told = self.world.wait(keeper.ask(&self.sys, question));
        (told.expect("a board"), self.time().since(begun))
    }
}

/// An answer of so many octets with its line end.
fn answer(octets: usize) -> Vec<u8> {
    let around = "{\"network\":\"\"}\n".len();
    format!("{{\"network\":\"{}\"}}\n", "x".repeat(octets - around)).into_bytes()
}

#[test]
fn an_answer_as_long_as_the_bound_is_read_and_a_longer_one_is_not_taken_half() {
    let home = Home::new();
    let is_whole = |octets: usize| {
        let (told, _) = home.relay_hears(TELL, Some(answer(octets)));
        let told = told.expect("it was answered");
        assert!(told.len() <= limits::BOARD_ANSWER_BYTES);
        serde_json::from_str::<serde_json::Value>(&told).is_ok()
    };
    assert!(is_whole(limits::BOARD_ANSWER_BYTES));
    assert!(is_whole(limits::BOARD_ANSWER_BYTES + 1), "only its line end is cut");
    assert!(!is_whole(limits::BOARD_ANSWER_BYTES + 2), "the page says that it is nonsense");
    assert!(!is_whole(3 * limits::BOARD_ANSWER_BYTES));
}

#[test]
fn troubles_are_those_of_a_whole_answer() {
    let home = Home::new();
    let troubles = |padding: usize| {
        let padding = "x".repeat(padding);
        let told = format!(r#"{{"troubles": ["one", "two"], "last_words": "{padding}"}}"#);
        *home.land.answer.borrow_mut() = Some(told.into_bytes());
        let keeper = Keeper { socket: Some(SOCKET.into()) };
        home.world.wait(keeper.troubles(&home.sys)).len()
    };
    assert_eq!(troubles(limits::BOARD_ANSWER_BYTES / 2), 2);
    assert_eq!(troubles(limits::BOARD_ANSWER_BYTES), 0);
}

#[test]
fn who_does_not_answer_is_given_up_in_words() {
    let home = Home::new();
    let (told, took) = home.relay_hears(r#"{"do":"update"}"#, None);
    assert_eq!(took, limits::BOARD_ANSWER_WAIT);
    assert!(told.clone().unwrap_err().starts_with("The board does not answer: "), "{told:?}");
    let (told, took) = home.relay_hears(TELL, None);
    assert_eq!(took, Duration::from_secs(3), "the page does not hang for that");
    assert!(told.is_err());
}

#[test]
fn what_is_no_question_is_told_so_and_who_asks_nothing_is_let_go() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    assert_eq!(home.bench.ran("chown"), [format!("chown waypost:waypost {SOCKET}")]);
    assert!(home.ask("nonsense").contains("That is no question."));
    assert!(home.ask(r#"{"do":"format"}"#).contains("That cannot be done here."));
    let wire = home.call();
    home.pass_but(limits::BOARD_LOOK_WAIT, 1);
    assert!(!wire.is_over());
    home.pass_millis(1);
    assert!(wire.is_over() && wire.take().is_empty());
}

#[test]
fn a_question_without_end_is_heard_no_further_than_the_bound() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    let question = |octets: usize| {
        let around = "{\"do\":\"tell\",\"x\":\"\"}".len();
        format!("{{\"do\":\"tell\",\"x\":\"{}\"}}", "x".repeat(octets - around))
    };
    assert!(home.ask(&question(limits::BOARD_TEXT_BYTES)).contains("\"version\":\"0.2.0\""));
    assert!(home.ask(&question(2 * limits::BOARD_TEXT_BYTES)).contains("That is no question."));
}

#[test]
fn the_board_starts_anew_after_its_answer_is_out_and_the_relay_has_ended() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    home.begin(board::service::keep(home.board.clone()));
    let relay = home.bench.last("setpriv");
    assert_eq!(home.ask(r#"{"do":"restart"}"#), "{}\n");
    assert!(relay.asked.get().is_none() && relay.lives());
    home.pass(1);
    assert!(relay.asked.get().is_some());
    home.pass_millis(100);
    assert_eq!(home.bench.ran("reboot"), ["reboot"]);
    home.pass(HOUR);
    assert_eq!(home.bench.started("setpriv").len(), 1, "it is not started again");
    assert!(!home.has("/data/board/last-words"), "and did as it was asked");
}

#[test]
fn no_update_is_taken_while_another_is_written_or_this_root_is_on_trial() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    home.board.now.borrow_mut().updating = true;
    let said = home.ask(r#"{"do":"update"}"#);
    assert!(said.contains("Another update is being written."), "{said}");
    let on_trial = home.board.slots.change(|state| state.trial = Some(Slot::A));
    home.world.wait(on_trial).expect("a disk");
    let said = home.ask(r#"{"do":"update"}"#);
    assert!(said.contains("itself on trial"), "{said}");
    home.pass(60);
    assert!(home.bench.ran("reboot").is_empty());
}

#[test]
fn a_relay_that_does_not_end_holds_nothing_up() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    home.begin(board::service::keep(home.board.clone()));
    let relay = home.bench.last("setpriv");
    relay.is_stubborn.set(true);
    home.ask(r#"{"do":"restart"}"#);
    home.pass(1);
    assert!(relay.asked.get().is_some());
    home.pass_but(limits::BOARD_END_WAIT, 1);
    assert!(home.bench.ran("reboot").is_empty(), "it has that long");
    relay.says("event=still-here");
    home.pass_millis(1);
    assert_eq!(home.bench.ran("reboot"), ["reboot"]);
}

#[test]
fn where_the_relay_rests_the_board_starts_anew_at_once() {
    let home = Home::new();
    home.begin(desk::serve(home.board.clone()));
    home.begin(board::service::keep(home.board.clone()));
    for _ in 0..7 {
        home.bench.last("setpriv").ends(1);
        home.pass(61);
    }
    home.bench.last("setpriv").ends(1);
    home.ask(r#"{"do":"restart"}"#);
    home.pass(2);
    assert_eq!(home.bench.ran("reboot"), ["reboot"]);
}
