//! From nothing to a running relay, and back.

use super::{
    alarm,
    board::Keeper,
    control::{self, Control, Files, Unloaded},
    desk::Desk,
    flood::Floods,
    line::{self, Line},
    listen::{Doors, Service},
    memory,
    noise::Noise,
    push::Pushes,
    relay::{Figures, Relay},
    sign_ins,
    web::{Web, office::AdminState, office::Office},
    work,
};
use crate::{
    limits,
    relay::{
        accounts::Accounts,
        clients::Clients,
        grants::Grants,
        greylist::Greylists,
        queue::Queue,
        resolve::Resolver,
        schedule,
        sign::Keyring,
        spool::{Recovered, Room, Spool},
        srs::Srs,
        sts::Policies,
        tally::Tally,
        trace::{Event, History},
        transcripts::Transcripts,
    },
    sys::{Signal, Signals, Sys, Wish},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

/// The Unix socket of the command line, in the data directory.
pub const CONTROL: &str = "control.sock";

/// A relay that is open for mail.
pub struct Running {
    pub(super) relay: Rc<Relay>,
    pub(super) control: Rc<Control>,
}

/// Why there is no relay: exit code and words.
pub struct Failed {
    /// As sysexits.h has it: 78 configuration, 74 disk.
    pub code: u8,
    /// One line each.
    pub words: Vec<String>,
}

/// Read the configuration, recover the spool, open the doors.
///
/// # Errors
/// The configuration is wrong or the spool cannot be opened. A listener that cannot be opened fails
/// only where none can.
pub async fn open(sys: &Sys, files: Files) -> Result<Running, Failed> {
    let disk = |error: std::io::Error| Failed { code: 74, words: vec![error.to_string()] };
    sys.disk.make_dir(".").await.map_err(disk)?;
    let loaded = control::load(sys, &files).await.map_err(|unloaded| Failed {
        code: if matches!(unloaded, Unloaded::Disk(_)) { 74 } else { 78 },
        words: unloaded.words(),
    })?;
    // Two relays on one spool would damage it: the socket of a living one answers.
    if sys.net.connect_local(CONTROL).await.is_ok() {
        let words = vec!["a relay is already running with this data directory".into()];
        return Err(Failed { code: 75, words });
    }
    let (octets, message) = control::room(&loaded.config);
    let room = Room::new(octets, message);
    let (spool, recovered) = Spool::open(sys, room).await.map_err(|error| Failed {
        code: 74,
        words: vec![format!("the spool cannot be opened: {error}")],
    })?;
    let resolver = Resolver::new(sys, Vec::new());
    control::introduce(sys, &resolver, &loaded.config).await;
    let relay = Rc::new(Relay {
        sys: sys.clone(),
        spool,
        queue: Queue::default(),
        accounts: Accounts::new(sys),
        resolver,
        keyring: Keyring::default(),
        grants: Grants::default(),
        clients: Clients::default(),
        greylists: Greylists::default(),
        srs: Srs::default(),
        policies: Policies::default(),
        history: History::default(),
        transcripts: Transcripts::default(),
        tally: Tally::default(),
        pushes: Pushes::default(),
        floods: Floods::default(),
        stop: Signal::default(),
        changed: Signal::default(),
        urgent: Signal::default(),
        contact: Cell::new(None),
        line: Line::default(),
        barred: RefCell::default(),
        bypassed: RefCell::default(),
        busy: Cell::new(0),
        figures: Figures::default(),
        noise: Noise::default(),
        settings: RefCell::new(control::settings(sys, loaded.config.clone())),
    });
    relay.grants.load(&loaded.sign_ins);
    queue_up(&relay, &recovered);
    let board = files.board.clone();
    let control = Rc::new(Control::new(relay.clone(), files, loaded));
    control.certify().await;
    control.authorize().await;
    control.load_keys().await;
    control.load_srs().await;
    let keeper = Keeper { socket: board };
    let office: Rc<dyn Office> = Rc::new(Desk::new(relay.clone(), control.clone(), keeper));
    let web = Web::new(sys.clone(), office);
    let local = sys.net.listen_local(CONTROL).map_err(disk)?;
    sys.spawn(web.clone().serve(local));
    let failed = control.open(Rc::new(Doors::new(relay.clone(), control.clone(), web))).await;
    if !failed.is_empty() && control.listening().is_empty() {
        return Err(Failed { code: 69, words: failed });
    }
    let running = Running { relay, control };
    running.begin();
    Ok(running)
}

/// What the spool still holds is owed: due soon, spread so that a restart is no storm.
fn queue_up(relay: &Rc<Relay>, recovered: &Recovered) {
    let now = relay.sys.clock.now();
    let retry = relay.config().retry.clone();
    for entry in &recovered.entries {
        let wait = schedule::respread(&retry, entry.attempts, relay.sys.dice.roll());
        relay.queue.add_kept(entry, now, now + wait);
    }
    for damage in &recovered.damaged {
        let event = match damage.id {
            Some(id) => Event::of("damaged", id, ""),
            None => Event::new("damaged"),
        };
        relay.tell(event.with("reason", &damage.words));
    }
    if !recovered.entries.is_empty() {
        let event = Event::new("recovered").with("messages", recovered.entries.len());
        relay.tell(event);
    }
}

impl Running {
    fn begin(&self) {
        let relay = &self.relay;
        relay.sys.spawn(work::work(relay.clone()));
        relay.sys.spawn(line::watch(relay.clone()));
        relay.sys.spawn(sign_ins::watch(relay.clone()));
        let keeper = relay.clone();
        relay.sys.spawn(async move { keeper.history.keep(&keeper.sys).await });
        let keeper = relay.clone();
        relay.sys.spawn(async move { memory::keep(&keeper).await });
        relay.sys.spawn(alarm::watch(relay.clone(), self.control.clone()));
        let event = Event::new("started")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("hostname", &relay.config().hostname);
        relay.tell(event);
    }

    /// What a person should read at the start: where it listens, how to reach the page, what to try
    /// next. `program` is how it was called, with what its commands need to find this relay.
    pub fn greeting(&self, program: &str) -> String {
        let mut lines =
            vec![format!("Waypost {} is running.", env!("CARGO_PKG_VERSION")), String::new()];
        let listening = self.control.listening();
        for (service, address) in &listening {
            lines.push(format!("  {:<24}{address}", service.words()));
        }
        let at =
            |wanted| listening.iter().find(|(service, _)| *service == wanted).map(|(_, at)| *at);
        if let Some(page) = at(Service::Web) {
            let host = match page.ip() {
                ip if ip.is_unspecified() => self.control.own_addresses().into_iter().next(),
                ip => Some(ip.to_string()),
            };
            let host = host.unwrap_or_else(|| "127.0.0.1".into());
            let page = format!("http://{host}:{}/", page.port());
            lines.push(String::new());
            lines.push(match self.control.admin() {
                AdminState::NotSet { code } => format!(
                    "Set it up in a browser:   {page}#setup={code}\n\
                     (the setup code is {code}, should the page ask for it)"
                ),
                AdminState::Set => format!("The page: {page}"),
            });
        }
        if let Some(smtp) = at(Service::Smtp) {
            lines.push(format!(
                "\nTry it:   swaks --server {smtp} --from me@example.com --to you@example.com\n\
                 Then:     {program} queue\n\
                 \x20         {program} trace you@example.com"
            ));
        }
        lines.join("\n") + "\n"
    }

    /// Serve until a signal says to end; then finish what is in flight, for some seconds at most.
    pub async fn serve(self, signals: &mut dyn Signals) {
        while signals.next().await == Wish::Reload {
            self.control.reload().await;
        }
        self.end().await;
    }

    async fn end(&self) {
        let relay = &self.relay;
        relay.tell(Event::new("stopping"));
        self.control.close();
        relay.stop.raise();
        relay.queue.work().raise();
        let over = async {
            while relay.busy.get() > 0 {
                relay.sys.sleep(limits::STOP_LOOK).await;
            }
        };
        relay.sys.within(limits::STOP_WAIT, over).await;
        if let Err(error) = relay.spool.sync_now().await {
            relay.tell(Event::new("unsynced").with("reason", error));
        }
        // The history may be lost, and an index that hangs must not keep us.
        let history = async {
            drop(relay.history.write(&relay.sys).await);
            memory::write(relay).await;
            drop(relay.sys.index.flush().await);
        };
        relay.sys.within(limits::STOP_WAIT, history).await;
        relay.sys.log.line("event=stopped");
    }
}
