//! `waypost login`: a person signs in where the configuration wants it.

use super::{
    Terminal,
    control::Question,
    exit, show,
    tasks::{Doing, Echo, Stop, typed},
};
use crate::{cli::Prompt, limits};
use serde_json::{Value, json};

impl Doing<'_> {
    /// Sign in as this user; without one, as the only one there is.
    pub(super) async fn log_in(
        &self,
        user: Option<&str>,
        by_code: bool,
        terminal: &mut Terminal<'_>,
    ) -> Result<u8, Stop> {
        let answer = self.done(&Question::get("/api/sign-ins")).await?.body;
        if self.call.json {
            terminal.say(&answer.to_string())?;
            return Ok(exit::OK);
        }
        let rows = answer.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_meant = |row: &&Value| user.is_none_or(|user| show::text(row, "user") == user);
        let meant: Vec<&Value> = rows.iter().filter(is_meant).collect();
        let [row] = meant[..] else {
            let refused = match (rows.is_empty(), user) {
                (true, _) => "no route has oauth: there is nothing to sign in by".to_string(),
                (false, Some(user)) if meant.is_empty() => format!("no route has the user {user}"),
                _ => "say who signs in: waypost login USER".to_string(),
            };
            write!(terminal.output, "{}", show::sign_ins(&answer))?;
            return Err(Stop::Refused(refused));
        };
        let route = row.get("route").and_then(Value::as_u64).unwrap_or_default();
        if by_code {
            self.by_code(route, terminal).await
        } else {
            self.by_link(route, terminal).await
        }
    }

    async fn by_link(&self, route: u64, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let body = json!({"route": route, "by": "link"}).to_string();
        let begun = self.done(&Question::post("/api/sign-ins", Some(&body))).await?.body;
        let link = begun.get("link").and_then(Value::as_str).unwrap_or_default();
        let words = "Open this address in a browser, on any machine, and sign in:";
        let then = "The browser then ends at an address that begins with http://localhost and that \
                    it cannot open. That is as it should be: copy all of it, and paste it here.";
        // To be copied, so nothing is cut or wrapped.
        let link: String = link.chars().filter(|c| !c.is_control()).collect();
        write!(terminal.output, "{words}\n\n{link}\n\n{}\n", show::wrapped(then, 0))?;
        terminal.output.flush()?;
        let pasted = typed(terminal, Prompt::Shown, "Address: ", Echo::On)?;
        let body = json!({ "answer": pasted }).to_string();
        let done = self.done(&Question::post("/api/sign-ins/answer", Some(&body))).await?.body;
        terminal.say(&show::text(&done, "words"))?;
        Ok(exit::OK)
    }

    async fn by_code(&self, route: u64, terminal: &mut Terminal<'_>) -> Result<u8, Stop> {
        let body = json!({"route": route, "by": "code"}).to_string();
        let begun = self.done(&Question::post("/api/sign-ins", Some(&body))).await?.body;
        let (at, code) = (show::text(&begun, "at"), show::text(&begun, "code"));
        terminal.say(&format!("Open {at} in a browser, on any machine, and type {code} there."))?;
        terminal.output.flush()?;
        // The relay itself gives up no later.
        let looks = limits::SIGN_IN_WAIT.as_secs() / limits::SIGN_IN_LOOK.as_secs() + 2;
        for _ in 0..looks {
            self.sys.sleep(limits::SIGN_IN_LOOK).await;
            let answer = self.done(&Question::get("/api/sign-ins")).await?.body;
            let rows = answer.get("rows").and_then(Value::as_array);
            let ours = |row: &&Value| row.get("route").and_then(Value::as_u64) == Some(route);
            let Some(row) = rows.into_iter().flatten().find(ours) else { break };
            match (show::text(row, "state").as_str(), show::text(row, "words")) {
                ("waiting", _) => {}
                ("good", words) if words.is_empty() => {
                    let (user, at) = (show::text(row, "user"), show::text(row, "at"));
                    terminal.say(&format!("Signed in as {user} at {at}."))?;
                    return Ok(exit::OK);
                }
                (_, words) => return Err(Stop::Refused(words)),
            }
        }
        Err(Stop::Refused("nobody has signed in in time".to_string()))
    }
}
