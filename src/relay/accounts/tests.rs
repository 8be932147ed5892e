//! Logins in a world whose clock and slow pool are ours.

use super::{world::World, *};
use crate::config::{Document, Surroundings};
use futures_lite::future::{block_on, poll_once};
use std::{pin::pin, rc::Rc};

const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

/// Hashes as cheap as argon2id has them, so that tests stay quick.
fn cheap(password: &str) -> String {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("in range");
    let salt = SaltString::encode_b64(b"a salt for tests").expect("in range");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes(), &salt).expect("in range").to_string()
}

fn config() -> Config {
    let text = format!(
        r#"{{"hostname": "relay.lan", "domains": ["home.arpa"], "limits": {{"login_failures": 3}},
            "users": [{{"name": "alice", "password": "{}"}}, {{"name": "box"}}],
            "admin": {{"password": "{}"}}}}"#,
        cheap("right"),
        cheap("page")
    );
    let document = Document::parse(&text).expect("a document");
    document.config(&Surroundings::default()).expect("a configuration")
}

struct Scene {
    world: Rc<World>,
    accounts: Accounts,
    config: Config,
}

impl Scene {
    fn new() -> Scene {
        let (world, sys) = World::new();
        Scene { world, accounts: Accounts::new(&sys), config: config() }
    }

    fn login(&self, user: &str, password: &str) -> Login {
        self.login_from(PEER, user, password)
    }

    fn login_from(&self, peer: Option<IpAddr>, user: &str, password: &str) -> Login {
        block_on(self.accounts.login(&self.config, Attempt { peer, user, password }))
    }

    fn pass(&self, wait: Duration) {
        self.world.slept.set(self.accounts.sys.clock.now() + wait);
    }
}

fn welcome() -> Login {
    Login::Welcome("alice".to_string())
}

#[test]
fn a_user_logs_in_by_name_or_address_in_any_case() {
    let scene = Scene::new();
    for user in ["alice", "ALICE", "alice@home.arpa", "Alice@Relay.LAN"] {
        assert_eq!(scene.login(user, "right"), welcome(), "{user}");
    }
    for user in ["alice@example.com", "alice@", "alic", "", "box", "alice@home.arpa@home.arpa"] {
        assert_eq!(scene.login_from(None, user, "right"), Login::Wrong, "{user}");
    }
    for password in ["", "Right", "right ", "wrong"] {
        assert_eq!(scene.login_from(None, "alice", password), Login::Wrong, "{password}");
    }
}

#[test]
fn the_page_has_a_password_of_its_own() {
    let mut scene = Scene::new();
    let admin = |scene: &Scene, password| {
        block_on(scene.accounts.verify_admin(&scene.config, None, password))
    };
    assert_eq!(admin(&scene, "page"), Login::Welcome(String::new()));
    assert_eq!(admin(&scene, "right"), Login::Wrong);
    scene.config.admin = None;
    assert_eq!(admin(&scene, "page"), Login::Wrong, "none is set, and none is right");
    assert_eq!(scene.login_from(None, "", "page"), Login::Wrong, "it is no user's");
}

#[test]
fn a_new_hash_is_of_its_password_only_and_costs_what_it_should() {
    let (_world, sys) = World::new();
    let hashes = [block_on(hash(&sys, "a long one")), block_on(hash(&sys, "a long one"))];
    assert!(hashes[0].starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{}", hashes[0]);
    assert_ne!(hashes[0], hashes[1], "each has a salt of its own");
    assert!(is_password_of(&hashes[0], "a long one"));
    assert!(!is_password_of(&hashes[0], "a long on"));
    let nobody = Accounts::new(&sys).nobody;
    let shape = |hash: &str| hash.rsplitn(3, '$').last().map(String::from);
    assert_eq!(shape(&nobody), shape(&hashes[0]), "nobody costs as much as somebody");
    assert!(PasswordHash::new(&nobody).is_ok());
    assert!(Params::try_from(&PasswordHash::new(&nobody).expect("a hash")).is_ok());
}

#[test]
fn a_known_answer_is_right() {
    // From the PHC reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p
    // 1`.
    let known =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert!(is_password_of(known, "password"));
    assert!(!is_password_of(known, "passwore"));
}

#[test]
fn a_hash_that_asks_for_too_much_is_nobodys() {
    let hash = |m: u32, t: u32, p: u32| {
        format!(
            "$argon2id$v=19$m={m},t={t},p={p}$c29tZXNhbHQ$\
             CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
        )
    };
    for damaged in [
        hash(limits::PASSWORD_KIB_MAX + 1, 1, 1),
        hash(u32::MAX, 1, 1),
        hash(8, limits::PASSWORD_PASSES_MAX + 1, 1),
        hash(64, 1, limits::PASSWORD_LANES_MAX + 1),
        hash(0, 0, 0),
        "$argon2id$".to_string(),
        "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            .to_string(),
        "right".to_string(),
        String::new(),
    ] {
        assert!(!is_password_of(&damaged, "right"), "{damaged}");
    }
}

#[test]
fn an_unknown_user_costs_as_much_as_a_wrong_password() {
    let scene = Scene::new();
    for (n, user) in ["alice", "nobody", "box"].into_iter().enumerate() {
        assert_eq!(scene.login_from(None, user, "wrong"), Login::Wrong);
        assert_eq!(scene.world.slow_works.get() as usize, n + 1, "{user}");
    }
}

#[test]
fn a_right_password_is_remembered_for_a_while_and_a_wrong_one_is_not() {
    let scene = Scene::new();
    let works = || scene.world.slow_works.get();
    assert_eq!((scene.login("alice", "right"), works()), (welcome(), 1));
    assert_eq!((scene.login("alice", "right"), works()), (welcome(), 1));
    assert_eq!((scene.login("alice", "wrong"), works()), (Login::Wrong, 2));
    assert_eq!((scene.login("alice", "wrong"), works()), (Login::Wrong, 3));
    scene.pass(limits::LOGIN_REMEMBERED);
    assert_eq!((scene.login("alice", "right"), works()), (welcome(), 4));
}

#[test]
fn a_changed_password_is_not_remembered() {
    let mut scene = Scene::new();
    assert_eq!(scene.login("alice", "right"), welcome());
    scene.config.users[0].password = Some(cheap("newer"));
    assert_eq!(scene.login("alice", "right"), Login::Wrong);
    assert_eq!(scene.login("alice", "newer"), welcome());
    scene.config.users[0].password = None;
    assert_eq!(scene.login("alice", "newer"), Login::Wrong);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (_world, sys) = World::new();
    let accounts = Accounts::new(&sys);
    let mark = |n: usize| accounts.mark("alice", "hash", &n.to_string());
    for n in 0..=limits::LOGINS_REMEMBERED {
        accounts.remember(mark(n));
    }
    assert_eq!(accounts.remembered.borrow().len(), limits::LOGINS_REMEMBERED);
    assert!(!accounts.remembers(&mark(0)), "the oldest made room");
    assert!(accounts.remembers(&mark(1)) && accounts.remembers(&mark(limits::LOGINS_REMEMBERED)));
    assert_ne!(
        accounts.mark("a", "bc", ""),
        accounts.mark("ab", "c", ""),
        "parts do not run together"
    );
    assert_ne!(
        accounts.mark("a", "b", "c"),
        Accounts::new(&sys).mark("a", "b", "c"),
        "keys differ"
    );
}

#[test]
fn too_many_failures_make_a_peer_wait_whoever_it_says_it_is() {
    let scene = Scene::new();
    for user in ["alice", "bob", "alice"] {
        assert_eq!(scene.login(user, "wrong"), Login::Wrong);
    }
    let works = scene.world.slow_works.get();
    let Login::Throttled(wait) = scene.login("alice", "right") else { panic!("must wait") };
    assert_eq!(scene.world.slow_works.get(), works, "nothing is verified meanwhile");
    assert!(wait <= limits::LOGIN_PENALTY && wait > limits::LOGIN_PENALTY / 2);
    let other = Some("192.0.2.2".parse().expect("an address"));
    assert_eq!(scene.login_from(other, "alice", "right"), welcome(), "others need not wait");
    assert!(matches!(scene.login("alice", "right"), Login::Throttled(_)), "nor does that help");
    scene.pass(wait);
    assert_eq!(scene.login("alice", "right"), welcome());
    assert_eq!(scene.login("alice", "wrong"), Login::Wrong, "success wiped the slate");
}

#[test]
fn a_wrong_password_is_answered_slowly() {
    let scene = Scene::new();
    let before = scene.accounts.sys.clock.now();
    assert_eq!(scene.login("alice", "wrong"), Login::Wrong);
    assert_eq!(scene.accounts.sys.clock.now().since(before), limits::LOGIN_WRONG_WAIT);
}

#[test]
fn passwords_are_verified_one_at_a_time_and_those_who_wait_hear_of_failures() {
    let scene = Scene::new();
    scene.world.lazy.set(true);
    let login = |password| {
        let attempt = Attempt { peer: PEER, user: "alice", password };
        scene.accounts.login(&scene.config, attempt)
    };
    let mut logins: Vec<_> = ["a", "b", "c", "d", "right"].map(|p| Box::pin(login(p))).into();
    let mut answers = Vec::new();
    for _ in 0..logins.len() {
        for login in &mut logins {
            assert_eq!(block_on(poll_once(login)), None);
        }
        assert!(scene.world.work() && !scene.world.work(), "one at a time");
        let login = logins.remove(0);
        answers.push(block_on(login));
        if answers.len() == 3 {
            break;
        }
    }
    assert_eq!(answers, [Login::Wrong, Login::Wrong, Login::Wrong]);
    for mut login in logins {
        let answer = block_on(poll_once(&mut login));
        assert!(matches!(answer, Some(Login::Throttled(_))), "three failed: nothing is verified");
    }
    assert_eq!(scene.world.slow_works.get(), 3);
}

#[test]
fn whoever_hangs_up_early_has_failed_all_the_same() {
    let scene = Scene::new();
    scene.world.lazy.set(true);
    for _ in 0..3 {
        let attempt = Attempt { peer: PEER, user: "alice", password: "wrong" };
        let mut login = pin!(scene.accounts.login(&scene.config, attempt));
        assert_eq!(block_on(poll_once(&mut login)), None);
    }
    assert!(matches!(scene.login("alice", "right"), Login::Throttled(_)));
    assert!(!scene.accounts.busy.get() && scene.accounts.waiting.borrow().is_empty());
}

#[test]
fn the_line_is_bounded_for_a_peer_and_for_all() {
    let scene = Scene::new();
    scene.world.lazy.set(true);
    let login = |last: u8| {
        let peer = Some(IpAddr::from([192, 0, 2, last]));
        let attempt = Attempt { peer, user: "alice", password: "wrong" };
        let mut login = Box::pin(scene.accounts.login(&scene.config, attempt));
        (block_on(poll_once(&mut login)), login)
    };
    let busy = Some(Login::Throttled(limits::LOGIN_BUSY_WAIT));
    let mut line = Vec::new();
    for _ in 0..=limits::LOGINS_WAITING_PER_PEER {
        let (answer, login) = login(0);
        assert_eq!(answer, None, "one is verified, the others wait");
        line.push(login);
    }
    assert_eq!(login(0).0, busy, "no more of this peer");
    for n in 0..limits::LOGINS_WAITING - limits::LOGINS_WAITING_PER_PEER {
        let (answer, login) = login(u8::try_from(n).expect("small") + 1);
        assert_eq!(answer, None);
        line.push(login);
    }
    assert_eq!(login(200).0, busy, "no more at all");
    line.clear();
    assert!(scene.accounts.waiting.borrow().is_empty());
}

#[test]
fn a_password_is_looked_at_up_to_its_bound() {
    let mut scene = Scene::new();
    let long = "x".repeat(limits::PASSWORD_BYTES);
    scene.config.users[0].password = Some(cheap(&long));
    assert_eq!(scene.login("alice", &long), welcome());
    let works = scene.world.slow_works.get();
    assert_eq!(scene.login("alice", &(long + "x")), Login::Wrong);
    assert_eq!(scene.world.slow_works.get(), works, "one past it is not even hashed");
}
