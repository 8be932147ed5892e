//! The configuration and the file of secrets: what a person writes, by hand or on the page.

use crate::{input::Input, seeds as sown};
use waypost::config::{Document, Secrets, Surroundings};

pub(crate) fn check(data: &[u8]) {
    let input = Input::new(data);
    let text = input.text();
    if let Ok(secrets) = Secrets::parse(text) {
        assert_eq!(Secrets::parse(&secrets.to_string()).as_ref(), Ok(&secrets));
    }
    let Ok(document) = Document::parse(text) else { return };
    let again = Document::parse(&document.to_string()).expect("what we print is read");
    let surroundings = Surroundings { hostname: "box.lan".into() };
    let problems = document.problems(&surroundings);
    // No setting is a fraction, and of those the last digit may change.
    assert!(again == document || !problems.is_empty(), "a document reads back as it prints");
    for problem in &problems {
        assert!(!problem.found.is_empty() && !problem.allowed.is_empty(), "{problem}");
        assert!(!problem.to_string().contains('\n'), "one line each: {problem}");
    }
    let config = document.config(&surroundings);
    if let Ok(config) = &config {
        assert!(problems.is_empty());
        assert_eq!(Ok(config), again.config(&surroundings).as_ref());
        settings_hold(config);
    } else if problems.is_empty() {
        assert!(!document.clear_passwords().is_empty(), "only a password in clear is in between");
    }
    secrets_stay_secret(&document);
    paths_lead_back(&document, input.choice(0));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for text in sown::files("config", ".json") {
        seeds.push(Input::compose(text.as_bytes(), &[0]));
        seeds.push(Input::compose(text.as_bytes(), &[7]));
    }
    for setting in waypost::config::SETTINGS {
        let text = format!("{{\"{}\": {}}}", setting.key, setting.example);
        seeds.push(Input::compose(text.as_bytes(), &[1]));
        let mut document = Document::default();
        let path = setting.key.replace("[]", "[0]");
        if document.set_text(&path, setting.example).is_ok() {
            seeds.push(Input::compose(document.to_string().as_bytes(), &[2]));
        }
    }
    let secrets = r#"{"routes": [{"for": "*", "via": "mx", "user": "me", "password": "x"}]}"#;
    seeds.push(Input::compose(secrets.as_bytes(), &[3]));
    seeds
}

/// What the rest of the relay relies on.
fn settings_hold(config: &waypost::config::Config) {
    assert!(!config.hostname.is_empty());
    assert!(config.retry.first <= config.retry.max);
    assert!(config.limits.message <= config.limits.spool);
    assert!(config.delivery_port > 0 && config.limits.recipients > 0 && config.limits.sessions > 0);
    assert!(config.maildir.contains("{user}") && !config.maildir.split('/').any(|p| p == ".."));
    assert!(config.aliases.iter().all(|alias| !alias.from.is_empty() && !alias.to.is_empty()));
    assert!(config.dns.iter().all(|server| server.port() > 0));
    for domain in config.domains.iter().chain([&config.hostname]) {
        assert_eq!(domain, &domain.to_lowercase());
    }
}

/// Nothing that is shown holds a secret, and what is shown can be given back.
fn secrets_stay_secret(document: &Document) {
    const SECRET: &str = "Kx7-a-secret-that-is-nowhere-else";
    let mut marked = document.clone();
    let mut put = 0;
    for path in ["users[0].password", "routes[0].password", "admin.password"] {
        let place = path.strip_suffix(".password").unwrap_or(path);
        if marked.get(place).is_some_and(serde_is_object) {
            put += usize::from(marked.set_text(path, SECRET).is_ok());
        }
    }
    let surroundings = Surroundings { hostname: "box.lan".into() };
    let shown = marked.redacted();
    assert!(put == 0 || marked.to_string().contains(SECRET));
    assert!(!shown.to_string().contains(SECRET) && !format!("{marked:?}").contains(SECRET));
    for problem in marked.problems(&surroundings) {
        assert!(!problem.to_string().contains(SECRET), "{problem}");
    }
    let (without, secrets) = marked.clone().split();
    assert!(without.clone().split().1.is_empty() || !secrets.is_empty());
    let joined = without.join(&secrets);
    assert!(put == 0 || joined.to_string().contains(SECRET));
    assert!(!format!("{secrets:?}").contains(SECRET));
    assert_eq!(Secrets::parse(&secrets.to_string()), Ok(secrets));
    let mut restored = shown.clone();
    if restored.restore(&marked).is_ok() {
        assert!(restored.redacted() == shown, "what was shown comes back");
    }
}

fn serde_is_object<T: ToString>(value: &T) -> bool {
    value.to_string().starts_with('{')
}

/// A value that is put somewhere is there, and goes away again.
fn paths_lead_back(document: &Document, choice: usize) {
    let paths = ["hostname", "retry.first", "routes[0].via", "users[1].send_as[0]", "a[0][0].b"];
    let path = paths[choice % paths.len()];
    let mut changed = document.clone();
    if changed.set_text(path, "x y").is_ok() {
        assert_eq!(changed.get(path).map(ToString::to_string).as_deref(), Some("\"x y\""));
        assert!(changed.remove(path));
    }
}
