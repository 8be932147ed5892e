//! Composition only: the real world is made here, and handed to the relay or to the command that
//! talks to one.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};
use waypost::{
    cli::{self, Call, Command, Environment, Terminal, exit},
    serve::{control::Files, start},
    sys::linux,
};

fn main() -> ExitCode {
    // The index lives in a process of its own, which is this program once more.
    if waypost::sys::index::keep_if_asked() {
        return ExitCode::SUCCESS;
    }
    let environment = Environment::read(linux::hostname(), linux::is_own);
    let code = match cli::parse(std::env::args_os(), &environment) {
        Ok(call) if call.command == Command::Run => relay(&call),
        Ok(call) if call.command == Command::Board => board(),
        Ok(call) => task(&call),
        Err(usage) => complain(&usage.to_string(), exit::USAGE),
    };
    ExitCode::from(code)
}

/// Be the relay until a signal ends it.
fn relay(call: &Call) -> u8 {
    let data = Path::new(call.data_directory());
    let (sys, executor) = match linux::world(data) {
        Ok(world) => world,
        Err(error) => return complain(&format!("{}: {error}", data.display()), exit::IO),
    };
    let mut signals = match executor.notices() {
        Ok(signals) => signals,
        Err(error) => return complain(&format!("no signals: {error}"), exit::IO),
    };
    let document = call.config.clone().unwrap_or_else(|| cli::CONFIG.into());
    // Paths of the configuration start at the data directory; one from the command line starts
    // where it was typed.
    let document = match std::path::absolute(&document) {
        Ok(path) if call.config.is_some() => path.to_string_lossy().into_owned(),
        _ => document,
    };
    let board = std::env::var("WAYPOST_BOARD").ok();
    let files = Files { document, machine: linux::hostname(), board };
    executor.run(async {
        match start::open(&sys, files).await {
            Ok(running) => {
                say(&running.greeting(&program(call)));
                running.serve(&mut signals).await;
                exit::OK
            }
            Err(failed) => complain(&failed.words.join("\nwaypost: "), failed.code),
        }
    })
}

/// Keep the board that runs an image, until its power goes.
fn board() -> u8 {
    let (sys, executor) = match linux::world(Path::new("/")) {
        Ok(world) => world,
        Err(error) => return complain(&error.to_string(), exit::IO),
    };
    match executor.run(waypost::board::keep(sys, executor.machine())) {
        Ok(()) => exit::OK,
        Err(words) => complain(&words, exit::UNAVAILABLE),
    }
}

/// How to call this program again so that it finds this relay.
fn program(call: &Call) -> String {
    let name = std::env::args().next().unwrap_or_else(|| "waypost".into());
    match &call.data {
        Some(data) => format!("{name} --data {data}"),
        None => name,
    }
}

/// Anything else: most of it asks the running relay.
fn task(call: &Call) -> u8 {
    let (sys, executor) = match linux::world(Path::new(".")) {
        Ok(world) => world,
        Err(error) => return complain(&error.to_string(), exit::IO),
    };
    let interactive = io::stdin().is_terminal();
    let mut terminal = Terminal {
        input: &mut io::stdin().lock(),
        output: &mut io::stdout().lock(),
        errors: &mut io::stderr().lock(),
        interactive,
        echo: &mut linux::echo,
    };
    executor.run(cli::run(&sys, call, &mut terminal))
}

fn say(text: &str) {
    // Nobody may be listening, and the relay runs all the same.
    let mut output = io::stdout().lock();
    let _nobody_listens = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

fn complain(words: &str, code: u8) -> u8 {
    let _nobody_listens = writeln!(io::stderr().lock(), "waypost: {words}");
    code
}
