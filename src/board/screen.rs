//! What stands on HDMI and the serial line: where the board is found, and how to set it up.

use super::{Board, Now, Standing};
use std::{rc::Rc, time::Duration};

const DEVICES: [&str; 2] = ["/dev/tty1", "/dev/console"];

/// Show it, and again whenever it changes.
pub async fn keep(board: Rc<Board>) {
    let mut shown = String::new();
    let mut seen = 0;
    loop {
        let words = words(&board.facts.version, &board.now.borrow());
        if words != shown {
            for device in DEVICES {
                board.machine.show(device, &words.replace('\n', "\r\n"));
            }
            shown = words;
        }
        seen = board.changed.past(seen).await;
        // What changes together is shown together.
        board.sys.sleep(Duration::from_secs(1)).await;
    }
}

fn words(version: &str, now: &Now) -> String {
    let mut lines = vec![String::new(), format!("Waypost {version}"), String::new()];
    if now.addresses.is_empty() {
        lines.push(match now.wifi.as_str() {
            "" => "No network yet: is the cable in?".into(),
            wifi => format!("No network yet. {wifi}"),
        });
    } else {
        let code = now.setup_code.as_ref().map(|code| format!("#setup={code}")).unwrap_or_default();
        lines.push("The page:".into());
        lines.push(format!("  http://{}.local/{code}", now.name));
        lines.extend(now.addresses.iter().map(|address| {
            let host =
                if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            format!("  http://{host}/{code}")
        }));
    }
    if let Some(code) = &now.setup_code {
        lines.extend([String::new(), format!("Setup code: {code}")]);
    }
    if now.relay != Standing::Serves {
        lines.extend([String::new(), "The relay is starting, or it cannot.".into()]);
    }
    for trouble in &now.troubles {
        lines.extend([String::new(), format!("! {trouble}")]);
    }
    lines
        .iter()
        .map(|line| if line.is_empty() { "\n".into() } else { format!("  {line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_the_page_is_and_the_code_until_somebody_has_used_it() {
        let mut now = Now { name: "waypost".into(), relay: Standing::Serves, ..Now::default() };
        assert!(words("1", &now).contains("is the cable in?"));
        now.wifi = "Looking for home.".into();
        assert!(words("1", &now).contains("No network yet. Looking for home."));
        now.addresses = vec!["192.168.1.5".into(), "fd00::5".into()];
        now.setup_code = Some("AAAA-BBBB".into());
        let told = words("1", &now);
        for part in [
            "http://waypost.local/#setup=AAAA-BBBB\n",
            "http://192.168.1.5/#setup=AAAA-BBBB\n",
            "http://[fd00::5]/#setup=AAAA-BBBB\n",
            "Setup code: AAAA-BBBB",
        ] {
            assert!(told.contains(part), "{told}");
        }
        now.setup_code = None;
        now.troubles = vec!["The card is full.".into()];
        let told = words("1", &now);
        assert!(!told.contains("AAAA") && told.contains("! The card is full."), "{told}");
    }
}
