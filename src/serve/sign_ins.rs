//! Signing in: from a person's wish to a grant that works, and the watch over it.
//!
//! Two ways lead there. By *link*: a person opens it in any browser, says yes, and the service
//! sends the browser to an address with a code in it; where that is the page, it hands the code in
//! by itself, elsewhere the person pastes the address. By *code*: they type a short code at the
//! service, and we ask until they have.

use super::{
    lane::account,
    relay::Relay,
    web::office::{Begun, SignInHow, SignInRow, SignInState},
    work::days,
};
use crate::{
    config::{Config, SignInKey, Via},
    limits,
    proto::http::Content,
    proto::oauth::{self, DeviceCode, Flow, Grant, Returned, Said, Tokens},
    relay::{fetch::fetch, grants::Standing, route, trace::Event},
    time::{Instant, Wall},
};
use futures_lite::future::or;
use std::{cell::RefCell, collections::VecDeque, net::IpAddr, rc::Rc, time::Duration};

/// Where a browser is sent that cannot come back to the page: nobody listens there, and the address
/// is pasted. Registered as it is, both Google (desktop app) and Microsoft (public client) let any
/// port of it pass.
const NOBODY: &str = "http://localhost";

/// Sign-ins that are under way.
pub(super) struct SignIns {
    relay: Rc<Relay>,
    under_way: RefCell<VecDeque<UnderWay>>,
}

struct UnderWay {
    grant: Rc<Grant>,
    until: Instant,
    how: How,
    /// How the last try ended, once it has.
    ended: Option<String>,
}

enum How {
    Link(Flow),
    Code(DeviceCode),
}

impl SignIns {
    /// None yet.
    pub(super) fn new(relay: Rc<Relay>) -> SignIns {
        SignIns { relay, under_way: RefCell::default() }
    }

    /// Those that the configuration names, by route.
    pub(super) fn rows(&self) -> Vec<SignInRow> {
        let config = self.relay.config();
        let routes = config.routes.iter().enumerate();
        let named = routes.filter_map(|(n, route)| Some((n, &route.via, route.grant.as_ref()?)));
        named.map(|(n, via, grant)| self.row(n, via, grant)).collect()
    }

    fn row(&self, route: usize, via: &Via, grant: &Rc<Grant>) -> SignInRow {
        let (mut state, mut words) = standing(&self.relay, grant);
        if state == SignInState::Missing {
            words = WAITS.to_string();
        }
        let mut row = SignInRow {
            route,
            user: grant.user.clone(),
            at: grant.provider.authorize.host.clone(),
            via: match via {
                Via::Smarthost(host, port) => format!("{host}:{port}"),
                Via::Mx | Via::Discard => "nobody".into(),
            },
            codes: grant.provider.device.is_some(),
            words,
            ..SignInRow::default()
        };
        if let Standing::Good(since, until) = self.relay.grants.standing(grant) {
            (row.since, row.until) = (since, until);
        }
        let now = self.relay.sys.clock.now();
        let under_way = self.under_way.borrow();
        let last = under_way.iter().rev().find(|one| one.grant == *grant && now < one.until);
        match last {
            Some(UnderWay { ended: Some(why), .. }) => {
                row.words = format!("The last try to sign in has failed: {why}");
            }
            Some(UnderWay { how: How::Code(code), until, .. }) => {
                state = SignInState::Waiting;
                (row.code, row.code_at) = (code.user.clone(), code.at.clone());
                row.words = format!(
                    "Open {} and type {} there. It works for {} more.",
                    code.at,
                    code.user,
                    days(until.since(now))
                );
            }
            _ => {}
        }
        row.state = state;
        row
    }

    /// Begin one, for a route of the configuration.
    ///
    /// # Errors
    /// In words: there is no sign-in there, the service has no codes, or it says no.
    pub(super) async fn begin(
        self: &Rc<Self>,
        route: usize,
        how: SignInHow,
    ) -> Result<Begun, String> {
        let config = self.relay.config();
        let grant = config.routes.get(route).and_then(|route| route.grant.clone());
        let grant = grant.ok_or_else(|| format!("routes[{route}] has no oauth to sign in by"))?;
        match how {
            SignInHow::Link(page) => Ok(self.link(grant, page.as_deref())),
            SignInHow::Code => self.code(grant).await,
        }
    }

    fn link(&self, grant: Rc<Grant>, page: Option<&str>) -> Begun {
        let redirect = page.and_then(comes_back).unwrap_or_else(|| NOBODY.into());
        let dice = &self.relay.sys.dice;
        let flow = Flow::new(std::array::from_fn(|_| dice.roll()), redirect.clone());
        let link = grant.client.authorize(&grant.provider, &flow, &grant.user);
        self.add(grant, How::Link(flow), limits::SIGN_IN_WAIT);
        Begun::Link { link, redirect }
    }

    async fn code(self: &Rc<Self>, grant: Rc<Grant>) -> Result<Begun, String> {
        let host = &grant.provider.token.host;
        let Some(device) = &grant.provider.device else {
            return Err(format!("{host} gives out no codes for this: sign in by link"));
        };
        let relay = &self.relay;
        let form = grant.client.device(&grant.provider);
        let ipv6 = relay.config().delivery_ipv6;
        let answer = fetch(&relay.sys, &relay.resolver, ipv6, device, Content::Form(&form)).await;
        let code = match oauth::device(&answer.map_err(|unanswered| unanswered.words)?) {
            Said::Yes(code) => code,
            Said::No(why) | Said::Later(why, _) => return Err(format!("{host} says: {why}")),
            Said::NotYet(_) => return Err(format!("{host} wants to be asked later")),
        };
        let begun = Begun::Code {
            code: code.user.clone(),
            at: code.at.clone(),
            seconds: code.lifetime.as_secs(),
        };
        let until = self.add(grant.clone(), How::Code(code.clone()), code.lifetime);
        let this = self.clone();
        relay.sys.spawn(async move { this.poll(grant, code, until).await });
        Ok(begun)
    }

    /// One more under way; tells until when. A new one takes the place of an older one of the same
    /// way.
    fn add(&self, grant: Rc<Grant>, how: How, wait: Duration) -> Instant {
        let now = self.relay.sys.clock.now();
        let until = now + wait;
        let mut under_way = self.under_way.borrow_mut();
        under_way.retain(|one| {
            let same = std::mem::discriminant(&one.how) == std::mem::discriminant(&how);
            now < one.until && !(same && one.grant == grant)
        });
        if under_way.len() >= limits::SIGN_INS {
            under_way.pop_front();
        }
        under_way.push_back(UnderWay { grant, until, how, ended: None });
        until
    }

    /// Ask until the person has typed the code, or another one has taken its place.
    async fn poll(&self, grant: Rc<Grant>, code: DeviceCode, until: Instant) {
        let sys = &self.relay.sys;
        let is_ours = |one: &UnderWay| matches!(&one.how, How::Code(c) if *c == code);
        let mut interval = code.interval;
        while sys.clock.now() + interval < until && !self.relay.is_stopping() {
            sys.sleep(interval).await;
            if !self.under_way.borrow().iter().any(is_ours) {
                return;
            }
            let ended = match self.ask(&grant, &grant.client.poll(&code.device)).await {
                Ok(Said::Yes(tokens)) => self.keep(&grant, tokens).await.err(),
                Ok(Said::No(why)) => Some(why),
                Ok(Said::NotYet(too_often)) => {
                    // RFC 8628 §3.5.
                    interval += Duration::from_secs(if too_often { 5 } else { 0 });
                    continue;
                }
                Ok(Said::Later(_, wait)) => {
                    interval = interval.max(wait.unwrap_or_default());
                    continue;
                }
                Err(_) => continue,
            };
            self.end(is_ours, ended);
            return;
        }
        self.end(is_ours, Some("the code was not typed in time".into()));
    }

    /// One is over; why, where it has failed.
    fn end(&self, which: impl Fn(&UnderWay) -> bool, failed: Option<String>) {
        let mut under_way = self.under_way.borrow_mut();
        let Some(at) = under_way.iter().position(which) else { return };
        match failed {
            None => drop(under_way.remove(at)),
            Some(why) => {
                let now = self.relay.sys.clock.now();
                let one = &mut under_way[at];
                let (user, host) = (&one.grant.user, &one.grant.provider.token.host);
                let event = Event::new("sign-in-failed").with("user", user).with("at", host);
                self.relay.tell(event.with("reason", &why));
                (one.ended, one.until) = (Some(why), now + limits::SIGN_IN_WAIT);
            }
        }
    }

    /// What came back from a link: the address that the browser was sent to, or the code alone.
    /// Tells who has signed in where.
    ///
    /// # Errors
    /// In words: it is nothing of the kind, or of no sign-in that was begun here, or the service
    /// says no.
    pub(super) async fn finish(&self, text: &str) -> Result<String, String> {
        let returned = Returned::read(text).ok_or(
            "That is neither an address with a code in it, nor a code. Copy all of the address \
             that the browser shows after signing in.",
        )?;
        let state = match &returned {
            Returned::Code(_, state) | Returned::Refused(_, state) => state.as_deref(),
        };
        let (grant, flow) = self.begun(state)?;
        let is_ours = |one: &UnderWay| matches!(&one.how, How::Link(f) if *f == flow);
        let said = match &returned {
            Returned::Refused(why, _) => Ok(Said::No(why.clone())),
            Returned::Code(code, _) => self.ask(&grant, &grant.client.redeem(&flow, code)).await,
        };
        let host = &grant.provider.token.host;
        let failed = match said {
            Ok(Said::Yes(tokens)) => self.keep(&grant, tokens).await.err(),
            Ok(Said::No(why)) => Some(format!("{host} says: {why}")),
            // The code may still do: the person can try once more.
            Ok(Said::Later(why, _)) => return Err(format!("{host} says: {why}. Try again.")),
            Ok(Said::NotYet(_)) => return Err(format!("{host} wants to be asked later.")),
            Err(words) => return Err(format!("{words}. Try again.")),
        };
        self.end(is_ours, failed.clone());
        match failed {
            Some(why) => Err(why),
            None => Ok(format!("Signed in as {} at {host}.", grant.user)),
        }
    }

    /// The sign-in that was begun with this state; without one, the only one by link.
    fn begun(&self, state: Option<&str>) -> Result<(Rc<Grant>, Flow), String> {
        let now = self.relay.sys.clock.now();
        let under_way = self.under_way.borrow();
        let mut fitting = under_way.iter().filter_map(|one| match &one.how {
            How::Link(flow) if now < one.until && one.ended.is_none() => {
                state.is_none_or(|state| state == flow.state).then_some((&one.grant, flow))
            }
            _ => None,
        });
        match (fitting.next(), fitting.next()) {
            (Some((grant, flow)), None) => Ok((grant.clone(), flow.clone())),
            (None, _) => {
                Err("This sign-in was not begun here, or has taken too long: begin again.".into())
            }
            _ => Err("Several sign-ins are under way: paste the whole address, not the code \
                      alone."
                .into()),
        }
    }

    async fn ask(&self, grant: &Grant, form: &str) -> Result<Said<Tokens>, String> {
        let relay = &self.relay;
        let (ipv6, url) = (relay.config().delivery_ipv6, &grant.provider.token);
        let answer = fetch(&relay.sys, &relay.resolver, ipv6, url, Content::Form(form)).await;
        answer.map(|answer| oauth::tokens(&answer)).map_err(|unanswered| unanswered.words)
    }

    /// It is kept, and what waits for it goes out.
    async fn keep(&self, grant: &Grant, tokens: Tokens) -> Result<(), String> {
        let relay = &self.relay;
        relay.grants.signed_in(&relay.sys, grant, tokens).await?;
        let (user, host) = (&grant.user, &grant.provider.token.host);
        relay.tell(Event::new("signed-in").with("user", user).with("at", host));
        for (_, destination) in route::smarthosts(&relay.config()) {
            if destination.grant.as_deref() == Some(grant) {
                relay.barred.borrow_mut().remove(&account(&destination));
            }
        }
        relay.hasten_all();
        Ok(())
    }
}

/// Where a browser can come back to the page: over https, or on the very machine where it runs;
/// services let it go nowhere else.
fn comes_back(origin: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    let is_host = |host: &str| !host.is_empty() && host.len() <= 300 && host.bytes().all(fits);
    if let Some(host) = origin.strip_prefix("https://").filter(|host| is_host(host)) {
        return Some(format!("https://{host}/"));
    }
    let host = origin.strip_prefix("http://").filter(|host| is_host(host))?;
    let name = match host.strip_prefix('[') {
        Some(literal) => literal.split(']').next()?,
        None => host.split(':').next()?,
    };
    let near = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    near.then(|| origin.to_string())
}

const WAITS: &str = "Mail waits for that, and the time does not count.";

/// How a grant stands, and what a person has to know or do, in words; empty where it works.
fn standing(relay: &Relay, grant: &Grant) -> (SignInState, String) {
    let (user, host) = (&grant.user, &grant.provider.token.host);
    match relay.grants.standing(grant) {
        Standing::Missing => {
            let words = format!("Nobody has signed in at {host} as {user} yet. {WAITS}");
            (SignInState::Missing, words)
        }
        Standing::Ended(why) => {
            let words = format!(
                "The sign-in at {host} as {user} works no more. {host} said: {why}. {WAITS}"
            );
            (SignInState::Ended, words)
        }
        Standing::Late(why) => {
            let words = format!(
                "{user} cannot log in at present: {why}. It is tried again by itself. {WAITS}"
            );
            (SignInState::Late, words)
        }
        Standing::Good(_, until) => {
            let left = left(relay, until).filter(|left| *left <= limits::SIGN_IN_WARNING);
            let Some(left) = left else { return (SignInState::Good, String::new()) };
            let ends = if left.is_zero() {
                "should have ended by now".to_string()
            } else {
                format!("ends in {}", days(left))
            };
            (SignInState::Ending, format!("The sign-in at {host} as {user} {ends}."))
        }
    }
}

/// The same, with where it is done, for a reader who is elsewhere.
pub(super) fn problem(relay: &Relay, grant: &Grant) -> (SignInState, String) {
    const HOW: &str = "Sign in on the page, or with `waypost login`.";
    let (state, words) = standing(relay, grant);
    match state {
        SignInState::Missing | SignInState::Ended => (state, format!("{words} {HOW}")),
        SignInState::Ending => {
            (state, format!("{words} Do it again before, so that mail goes on. {HOW}"))
        }
        SignInState::Good | SignInState::Late | SignInState::Waiting => (state, words),
    }
}

/// Time until then, where both are known.
fn left(relay: &Relay, until: Option<Wall>) -> Option<Duration> {
    let now = relay.sys.clock.wall()?;
    Some(Duration::from_secs(until?.0.saturating_sub(now.0)))
}

/// The grants of a configuration, each once.
pub(super) fn grants(config: &Config) -> Vec<Rc<Grant>> {
    let mut grants: Vec<Rc<Grant>> = Vec::new();
    for grant in config.routes.iter().filter_map(|route| route.grant.as_ref()) {
        if !grants.contains(grant) {
            grants.push(grant.clone());
        }
    }
    grants
}

/// What was so at the last look, and has been told where a person has to do something.
type Told = Vec<(SignInKey, SignInState)>;

/// Look after what lasts: a sign-in that nobody uses is tried once a day, and what a person has to
/// do is told in the log when it begins.
pub(super) async fn watch(relay: Rc<Relay>) {
    let mut told = Told::new();
    while !relay.is_stopping() {
        let (changed, over) = (relay.changed.count(), relay.grants.over.count());
        let next = look(&relay, &mut told).await;
        let news = or(relay.changed.past(changed), relay.grants.over.past(over));
        let news = or(news, relay.stop.past(0));
        match next {
            Some(next) => drop(relay.sys.within(next.since(relay.sys.clock.now()), news).await),
            None => _ = news.await,
        }
    }
}

/// Try what is due, and tell what is new; tells when to look again.
async fn look(relay: &Relay, told: &mut Told) -> Option<Instant> {
    let mut next = None;
    let mut now_so = Told::new();
    for grant in grants(&relay.config()) {
        // Not at once at the start: who restarts again and again is no reason to ask.
        let due = |had: Option<Instant>| match had {
            None => Instant::default() + limits::SIGN_IN_AGAIN,
            Some(had) => had + limits::SIGN_IN_EVERY,
        };
        let mut again = due(relay.grants.had(&grant));
        if again <= relay.sys.clock.now() {
            // It is told below what came of it.
            drop(relay.grants.token(&relay.asking(), &grant).await);
            again = due(relay.grants.had(&grant));
            again = again.max(relay.sys.clock.now() + limits::SIGN_IN_AGAIN);
        }
        let (state, words) = problem(relay, &grant);
        if state == SignInState::Late {
            again = again.min(relay.sys.clock.now() + limits::TOKEN_RETRY_MAX);
        }
        next = next.into_iter().chain([again]).min();
        let key = SignInKey::from(&*grant);
        let it = (key.clone(), state);
        match state {
            SignInState::Good if told.contains(&(key, SignInState::Late)) => {
                // What has waited for it would else wait out its own pause.
                relay.hasten_all();
            }
            SignInState::Missing | SignInState::Ending | SignInState::Ended
                if !told.contains(&it) =>
            {
                let event = Event::new("trouble").with("about", "routes");
                relay.tell(event.with("words", words));
            }
            _ => {}
        }
        now_so.push(it);
    }
    *told = now_so;
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_comes_back_over_https_or_on_its_own_machine() {
        for (origin, back) in [
            ("https://relay.example.org", Some("https://relay.example.org/")),
            ("https://relay.example.org:8443", Some("https://relay.example.org:8443/")),
            ("http://localhost:8025", Some("http://localhost:8025")),
            ("http://127.0.0.1:8025", Some("http://127.0.0.1:8025")),
            ("http://[::1]:8025", Some("http://[::1]:8025")),
            ("http://relay.local:8025", None),
            ("http://192.168.1.2", None),
            ("http://localhost.example.org", None),
            ("https://", None),
            ("https://a/b", None),
            ("https://a@b", None),
            ("ftp://localhost", None),
            ("", None),
        ] {
            assert_eq!(comes_back(origin).as_deref(), back, "{origin}");
        }
    }
}
