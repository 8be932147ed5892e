//! What can be asked, and by whom: one table. What each of its lines does is in [`super::acts`].
//!
//! Errors are `{"error": "words for a person"}`, for a configuration with `"problems": [{"key",
//! "words"}]`.

use super::{
    Web,
    http::{Head, Method, Response},
    json::Json,
    office::{Action, Apply, Scope},
    page,
    talk::Caller,
};
use crate::{limits, proto::http::decode, sys::Pending};

/// One thing that can be asked.
pub(super) struct Route {
    pub(super) method: Method,
    /// A `*` stands for one segment, which [`Visit::name`] holds then.
    pub(super) path: &'static str,
    pub(super) access: Access,
    /// What a program's token must be for.
    pub(super) scope: Scope,
    /// Most octets of body.
    pub(super) body: usize,
    /// What that body is.
    pub(super) kind: Kind,
    pub(super) act: Act,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    /// As a browser without script sends it.
    Form,
}

/// Who may ask. Over the Unix socket, everybody may ask everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Who is on this machine, or logged in.
    Near,
    /// Who is logged in.
    Login,
}

/// Either way there is a response; one that stopped the work on the way to another comes as an
/// error.
pub(super) type Answer = Result<Response, Response>;

type Act = for<'a> fn(&'a Web, Visit) -> Pending<'a, Answer>;

/// A request on its way to its answer.
pub(super) struct Visit {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) caller: Caller,
    /// What stood for the `*` of the path, decoded.
    pub(super) name: String,
}

/// Octets of body of a request that only names things.
const SMALL: usize = 8 * 1024;

const fn get(path: &'static str, access: Access, act: Act) -> Route {
    let (method, kind) = (Method::Get, Kind::Json);
    Route { method, path, access, scope: Scope::Read, body: 0, kind, act }
}

const fn change(method: Method, path: &'static str, body: usize, act: Act) -> Route {
    let (access, kind) = (Access::Login, Kind::Json);
    Route { method, path, access, scope: Scope::All, body, kind, act }
}

/// Something that is done to the queue.
const fn post_to_queue(path: &'static str, act: Act) -> Route {
    Route { scope: Scope::Queue, ..change(Method::Post, path, SMALL, act) }
}

const fn open_post(path: &'static str, act: Act) -> Route {
    Route { access: Access::Open, ..change(Method::Post, path, SMALL, act) }
}

/// Everything.
pub(super) const ROUTES: [Route; 73] = [
    get("/", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/style.css", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/app.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/kit.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/mail.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/people.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/settings.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/signin.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/domain.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/devices.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/trial.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/wizard.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/qr.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/care.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/board.js", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/icon.svg", Access::Open, |_, v| at_once(page::asset(&v.head))),
    get("/plain", Access::Open, |w, v| Box::pin(w.plain(v))),
    Route { kind: Kind::Form, ..open_post("/plain", |w, v| Box::pin(w.plain_login(v))) },
    get("/healthz", Access::Open, |w, _| at_once(w.health())),
    get("/metrics", Access::Near, |w, _| Box::pin(w.metrics())),
    get("/api/session", Access::Open, |w, v| at_once(w.session(&v))),
    open_post("/api/setup", |w, v| Box::pin(w.setup(v))),
    open_post("/api/login", |w, v| Box::pin(w.log_in(v))),
    change(Method::Post, "/api/logout", SMALL, |w, v| at_once(w.log_out(&v))),
    change(Method::Post, "/api/password", SMALL, |w, v| Box::pin(w.password(v))),
    get("/api/status", Access::Login, |w, _| Box::pin(w.status())),
    get("/api/queue", Access::Login, |w, v| Box::pin(w.queue(v))),
    post_to_queue("/api/queue/retry", |w, _| Box::pin(w.retry_all())),
    post_to_queue("/api/queue/act", |w, v| Box::pin(w.act_on_some(v))),
    get("/api/queue/*", Access::Login, |w, v| Box::pin(w.message(v))),
    Route {
        scope: Scope::Queue,
        ..get("/api/queue/*/message", Access::Login, |w, v| Box::pin(w.octets(v)))
    },
    post_to_queue("/api/queue/*/retry", |w, v| Box::pin(w.act(v, Action::Retry))),
    post_to_queue("/api/queue/*/hold", |w, v| Box::pin(w.act(v, Action::Hold))),
    post_to_queue("/api/queue/*/release", |w, v| Box::pin(w.act(v, Action::Release))),
    post_to_queue("/api/queue/*/drop", |w, v| Box::pin(w.act(v, Action::Drop))),
    get("/api/trace", Access::Login, |w, v| Box::pin(w.trace(v))),
    get("/api/recent", Access::Login, |w, v| Box::pin(w.recent(v))),
    get("/api/transcripts/*", Access::Login, |w, v| ready(w.transcripts(&v))),
    get("/api/devices", Access::Login, |w, _| Box::pin(w.devices())),
    change(Method::Post, "/api/devices/forget", SMALL, |w, v| ready(w.forget_device(&v))),
    get("/api/config", Access::Login, |w, _| at_once(w.config())),
    change(Method::Put, "/api/config", limits::WEB_BODY_BYTES, |w, v| {
        Box::pin(w.apply(v, Apply::Save))
    }),
    change(Method::Post, "/api/config/check", limits::WEB_BODY_BYTES, |w, v| {
        Box::pin(w.apply(v, Apply::Check))
    }),
    get("/api/config/previous", Access::Login, |w, _| at_once(w.previous())),
    change(Method::Post, "/api/config/undo", SMALL, |w, _| Box::pin(w.undo())),
    change(Method::Post, "/api/trial", limits::WEB_BODY_BYTES, |w, v| ready(w.begin_trial(&v))),
    get("/api/trial/*", Access::Login, |w, v| Box::pin(w.trial(v))),
    get("/api/open-relay", Access::Login, |w, _| at_once(w.open_relay())),
    get("/api/log", Access::Login, |w, v| Box::pin(w.log_part(v))),
    get("/api/log/all", Access::Login, |w, _| Box::pin(w.whole_log())),
    get("/api/chart", Access::Login, |w, _| at_once(w.chart())),
    change(Method::Post, "/api/backup", SMALL, |w, v| Box::pin(w.backup(v))),
    change(Method::Post, "/api/restore", limits::WEB_RESTORE_BYTES, |w, v| Box::pin(w.restore(v))),
    get("/api/board", Access::Login, |w, _| Box::pin(w.board())),
    change(Method::Post, "/api/board/update/part", limits::BOARD_PART_JSON_BYTES, |w, v| {
        Box::pin(w.update_part(v))
    }),
    change(Method::Post, "/api/board/update", SMALL, |w, _| Box::pin(w.update())),
    change(Method::Post, "/api/board/restart", SMALL, |w, _| Box::pin(w.restart_board())),
    change(Method::Put, "/api/board/network", SMALL, |w, v| Box::pin(w.set_network(v))),
    change(Method::Post, "/api/tokens", SMALL, |w, v| Box::pin(w.make_token(v))),
    change(Method::Post, "/api/check", SMALL, |w, _| Box::pin(w.check())),
    change(Method::Post, "/api/check/domain", SMALL, |w, v| Box::pin(w.doctor(v))),
    get("/api/settings", Access::Login, |w, _| at_once(w.settings())),
    get("/api/providers", Access::Login, |_, _| at_once(Web::providers())),
    post_to_queue("/api/test", |w, v| Box::pin(w.test(v))),
    change(Method::Post, "/api/users", SMALL, |w, v| Box::pin(w.add_user(v))),
    change(Method::Post, "/api/users/*/password", SMALL, |w, v| Box::pin(w.user_password(v))),
    change(Method::Delete, "/api/users/*", SMALL, |w, v| Box::pin(w.remove_user(v))),
    get("/api/dkim", Access::Login, |w, _| at_once(w.keys())),
    change(Method::Post, "/api/dkim", SMALL, |w, v| Box::pin(w.make_keys(v))),
    change(Method::Post, "/api/dkim/retire", SMALL, |w, v| Box::pin(w.retire_keys(v))),
    get("/api/sign-ins", Access::Login, |w, _| at_once(w.sign_ins())),
    change(Method::Post, "/api/sign-ins", SMALL, |w, v| Box::pin(w.begin_sign_in(v))),
    change(Method::Post, "/api/sign-ins/answer", SMALL, |w, v| Box::pin(w.finish_sign_in(v))),
];

fn at_once<'a>(response: Response) -> Pending<'a, Answer> {
    Box::pin(std::future::ready(Ok(response)))
}

fn ready<'a>(answer: Answer) -> Pending<'a, Answer> {
    Box::pin(std::future::ready(answer))
}

/// The route of a request, and what stands for the `*` of its path.
///
/// # Errors
/// 404, or 405 with what would be allowed.
pub(super) fn find(head: &Head) -> Result<(&'static Route, String), Response> {
    let asked = if head.method == Method::Head { Method::Get } else { head.method };
    let mut allowed = String::new();
    for route in &ROUTES {
        let Some(name) = matches(route.path, &head.path) else { continue };
        if route.method == asked {
            let name = decode(name).ok_or_else(|| error(400, "The address is not UTF-8."))?;
            return Ok((route, name));
        }
        let separator = if allowed.is_empty() { "" } else { ", " };
        allowed = format!("{allowed}{separator}{}", route.method.name());
    }
    if allowed.is_empty() {
        return Err(error(404, "There is nothing here."));
    }
    Err(error(405, "That cannot be done here.").with("Allow", allowed))
}

/// What stands for the `*` (nothing where there is none), if the path matches.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let mut name = "";
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        let segment = segments.next()?;
        match wanted {
            "*" if !segment.is_empty() => name = segment,
            _ if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(name)
}

/// Something did not work, in words.
pub(super) fn error(status: u16, words: &str) -> Response {
    json(status, Json::object().member("error", words))
}

pub(super) fn json(status: u16, object: Json) -> Response {
    Response::new(status, "application/json", object.end())
}
