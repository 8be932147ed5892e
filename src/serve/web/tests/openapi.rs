//! `openapi.json` says what the code does: the same routes, for the same people, with the same data
//! in and out.

use super::{House, Value, json};
use crate::{
    config,
    serve::web::{
        api::{Access, ROUTES, Route},
        http::Method,
        office::{
            Advice, Counts, DeviceRow, Door, Event, FindingRow, Flash, KeyRow, Last, LogLine,
            Problem, PublishRow, Queued, RefusalRow, Scope, SettingRow, SignInRow, Spool, Status,
            TranscriptRow, TrialStep,
        },
    },
};

/// The file. Schemas in it are JSON Schema 2020-12, as `OpenAPI` 3.1 has it.
struct File(Value);

/// One thing that can be asked, by the file.
struct Operation<'a> {
    method: String,
    path: &'a str,
    says: &'a Value,
}

impl File {
    fn read() -> File {
        File(serde_json::from_str(include_str!("../openapi.json")).expect("JSON"))
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        paths
            .iter()
            .flat_map(|(path, all)| {
                all.as_object().expect("operations").iter().map(move |(method, says)| Operation {
                    method: method.to_uppercase(),
                    path,
                    says,
                })
            })
            .collect()
    }

    /// What a `$ref` stands for.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(place) = value["$ref"].as_str() else { return value };
        let found = self.0.pointer(place.trim_start_matches('#'));
        found.unwrap_or_else(|| panic!("{place} is nowhere"))
    }

    /// What does not fit a schema, in words. Members that it does not name do not fit either.
    fn misfit(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let schema = self.resolve(schema);
        if let Some(ways) = schema["oneOf"].as_array() {
            let wrong: Vec<String> =
                ways.iter().filter_map(|way| self.misfit(way, value, at)).collect();
            return (wrong.len() + 1 != ways.len()).then(|| format!("{at}: {}", wrong.join(" | ")));
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            one => vec![one.clone()],
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind.into()) {
            return Some(format!("{at} is {kind}, not {kinds:?}"));
        }
        if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
            return Some(format!("{at} is {value}, none of {words:?}"));
        }
        if let Value::Array(values) = value {
            let mut places = values.iter().enumerate();
            let items = &schema["items"];
            return places.find_map(|(n, one)| self.misfit(items, one, &format!("{at}[{n}]")));
        }
        let (Value::Object(members), Some(known)) = (value, schema["properties"].as_object())
        else {
            return None;
        };
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !members.contains_key(name) {
                return Some(format!("{at}.{name} is missing"));
            }
        }
        members.iter().find_map(|(name, value)| match known.get(name) {
            Some(schema) => self.misfit(schema, value, &format!("{at}.{name}")),
            None => Some(format!("{at}.{name} is not in the file")),
        })
    }
}

impl Operation<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Its line of the table.
    fn route(&self) -> &'static Route {
        let path: Vec<&str> =
            self.path.split('/').map(|s| if s.starts_with('{') { "*" } else { s }).collect();
        let path = path.join("/");
        let found = ROUTES.iter().find(|r| r.path == path && r.method.name() == self.method);
        found.unwrap_or_else(|| panic!("{} is no route", self.name()))
    }
}

/// The media type and the rest of what goes in, or comes out.
fn content(place: &Value) -> Option<(&String, &Value)> {
    place["content"].as_object()?.iter().next()
}

/// Routes that are described: what is no file of the page.
fn described() -> impl Iterator<Item = &'static Route> {
    let beside = ["/healthz", "/metrics", "/plain"];
    ROUTES.iter().filter(move |r| r.path.starts_with("/api/") || beside.contains(&r.path))
}

#[test]
fn every_route_is_described_for_those_who_may_use_it() {
    let file = File::read();
    let operations = file.operations();
    assert_eq!(operations.len(), described().count());
    for operation in &operations {
        let (name, route) = (operation.name(), operation.route());
        let security = &operation.says["security"];
        match route.access {
            Access::Open => assert_eq!(security, &json!([]), "{name}"),
            Access::Near => assert_eq!(security[0], json!({}), "{name}"),
            Access::Login => assert_eq!(security, &Value::Null, "{name}"),
        }
        let scope = (route.access != Access::Open).then(|| route.scope.word());
        assert_eq!(operation.says["x-scope"].as_str(), scope, "{name}");
        let takes = content(&operation.says["requestBody"]);
        assert!(takes.is_none() || route.body > 0, "{name} takes no body");
        assert!(operation.says["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name}");
        let names = operation.path.matches('{').count();
        let given = operation.says["parameters"].as_array().into_iter().flatten();
        let given = given.map(|p| file.resolve(p)).filter(|p| p["in"] == "path").count();
        assert_eq!(names, given, "{name} has a parameter for each part of its path");
    }
}

/// The response to a request with a token for all, its head and its body.
fn ask(house: &House, operation: &Operation<'_>, scope: Scope, body: Option<&Value>) -> Asked {
    let path: Vec<&str> = operation
        .path
        .split('/')
        .map(|s| if s.starts_with('{') { "0000000007" } else { s })
        .collect();
    let query = if operation.path == "/api/trace" { "?q=x" } else { "" };
    let (kind, body) = match (operation.route().body, body) {
        (_, Some(body)) if operation.path == "/plain" => {
            let password = body["password"].as_str().expect("a password").replace(' ', "+");
            ("application/x-www-form-urlencoded", format!("password={password}"))
        }
        (_, Some(body)) => ("application/json", body.to_string()),
        (0, None) => ("", String::new()),
        (_, None) => ("application/json", String::new()),
    };
    let mut request = format!(
        "{} {}{query} HTTP/1.1\r\nHost: 192.168.1.5:8025\r\nAuthorization: Bearer wp_{}\r\n",
        operation.method,
        path.join("/"),
        scope.word()
    );
    if !body.is_empty() {
        let length = body.len();
        request = format!("{request}Content-Type: {kind}\r\nContent-Length: {length}\r\n");
    }
    let octets = house.send(format!("{request}Connection: close\r\n\r\n{body}").as_bytes()).take();
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(octets[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Asked { status, head, body: octets[end + 4..].to_vec() }
}

struct Asked {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

#[test]
fn what_is_asked_as_the_file_says_is_answered_as_it_says() {
    let file = File::read();
    for operation in file.operations() {
        let name = operation.name();
        // A relay of its own: passwords change.
        let house = House::new();
        if operation.path == "/api/setup" {
            house.relay.password.take();
        }
        let takes = content(&operation.says["requestBody"]);
        let example = takes.map(|(_, takes)| &takes["example"]);
        if let Some((_, takes)) = takes {
            let misfit = file.misfit(&takes["schema"], &takes["example"], "example");
            assert_eq!(misfit, None, "{name}");
        }
        let asked = ask(&house, &operation, Scope::All, example);
        let status = asked.status.to_string();
        let answers = &operation.says["responses"][&status];
        let found = answers.is_object() && status < "400".into();
        assert!(found, "{name}: {status} {}", String::from_utf8_lossy(&asked.body));
        let (kind, answers) = content(answers).expect("a kind of answer");
        let lower = asked.head.to_ascii_lowercase();
        assert!(lower.contains(&format!("\r\ncontent-type: {kind}")), "{name}: {lower}");
        if kind == "application/json" {
            let misfit = file.misfit(&answers["schema"], &asked.json(), "answer");
            assert_eq!(misfit, None, "{name}");
        }
    }
}

#[test]
fn a_body_has_the_members_that_the_file_names_and_no_others() {
    let file = File::read();
    let error = json!({ "$ref": "#/components/schemas/Error" });
    for operation in file.operations() {
        let name = operation.name();
        let Some((_, takes)) = content(&operation.says["requestBody"]) else { continue };
        let (schema, example) = (file.resolve(&takes["schema"]), &takes["example"]);
        let Some(known) = schema["properties"].as_object() else { continue };
        if operation.path == "/plain" {
            continue;
        }
        let refused = |body: &Value, words: &str| {
            let house = House::new();
            let asked = ask(&house, &operation, Scope::All, Some(body));
            let told = asked.json();
            assert_eq!(asked.status, 400, "{name}: {told}");
            assert!(told["error"].as_str().is_some_and(|said| said.contains(words)), "{told}");
            assert_eq!(file.misfit(&error, &told, "error"), None);
        };
        let mut more = example.clone();
        more["surprise"] = json!(1);
        refused(&more, "surprise");
        for member in known.keys() {
            let mut odd = example.clone();
            odd[member] = json!({ "odd": 1 });
            let free = schema["properties"][member]["type"][0] == "object";
            if !free {
                refused(&odd, "not as expected");
            }
        }
        for member in schema["required"].as_array().into_iter().flatten() {
            let mut less = example.clone();
            less.as_object_mut().expect("members").remove(member.as_str().expect("a name"));
            refused(&less, member.as_str().expect("a name"));
        }
    }
}

#[test]
fn a_token_can_do_what_its_scope_is_for_and_nothing_beyond() {
    let file = File::read();
    for operation in file.operations() {
        let route = operation.route();
        if route.access == Access::Open {
            continue;
        }
        for scope in [Scope::Read, Scope::Queue, Scope::All] {
            let house = House::new();
            let takes = content(&operation.says["requestBody"]);
            let asked = ask(&house, &operation, scope, takes.map(|(_, takes)| &takes["example"]));
            let status = if scope >= route.scope { 200 } else { 403 };
            assert_eq!(asked.status, status, "{} with {}", operation.name(), scope.word());
        }
    }
    let changes = described().filter(|r| r.method != Method::Get && r.access == Access::Login);
    assert!(changes.into_iter().all(|r| r.scope != Scope::Read), "looking changes nothing");
}

#[test]
fn data_is_described_member_by_member() {
    let file = File::read();
    let fits = |name: &str, value: Value| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        assert_eq!(file.misfit(&schema, &value, name), None);
    };
    let (last, advice) = (json!(Last::default()), json!(Advice { words: "x", source: "y" }));
    let mut status = json!(Status::default());
    for member in ["last_in", "last_out", "last_trouble"] {
        status[member] = last.clone();
    }
    status["listening"] = json!([Door::default()]);
    status["problems"] = json!([Problem::default()]);
    fits("Status", status);
    fits("Queued", json!(Queued::default()));
    fits("Counts", json!(Counts::default()));
    fits("Spool", json!(Spool::default()));
    fits("Flash", json!(Flash::default()));
    let mut event = json!(Event::default());
    event["advice"] = advice;
    fits("Event", event);
    let refused = Some(RefusalRow::default());
    let last_in = Some(Last::default());
    fits("Device", json!(DeviceRow { last_in, last_refusal: refused, ..DeviceRow::default() }));
    let kind = "TXT".to_string();
    let publish = Some(PublishRow { kind, ..PublishRow::default() });
    fits("Finding", json!(FindingRow { publish, ..FindingRow::default() }));
    fits("Setting", json!(SettingRow::default()));
    fits("Key", json!(KeyRow::default()));
    fits("SignIn", json!(SignInRow::default()));
    fits("TrialStep", json!(TrialStep::default()));
    fits("LogLine", json!(LogLine::default()));
    fits("Transcript", json!(TranscriptRow::default()));
    for profile in config::profiles() {
        fits("Profile", json!(profile));
    }
    let named = file.0["components"]["schemas"].as_object().expect("schemas");
    assert!(named.values().all(|schema| schema["description"].is_string()));
}
