//! A stand-in for an inference server: it speaks the APIs of OpenAI, Anthropic, Ollama and TGI for
//! the demo, the tests and the benchmarks, and counts tokens honestly, so that what a gateway in
//! front of it reports can be compared with what it sent.
//!
//! A request goes from `server` (connections) to `routes`, which has an `api`, or one of the real
//! servers in `engines`, read it and make up a `generation`, and sends that as a whole (`body`) or as a
//! `stream`. Its `X-Mock-` headers
//! (`controls`) change the pace and plant faults. How every generation ended is in the `record`,
//! and what clients keep on the `shelf`.
//!
//! See `mock-engine --help` for the endpoints, the headers and the options.

mod api;
mod body;
mod controls;
mod echo;
mod engine;
mod engines;
mod error;
#[cfg(test)]
mod exchange;
mod fields;
mod generation;
mod gzip;
mod http;
mod json;
mod options;
mod ordered;
mod peer;
mod record;
mod routes;
mod server;
mod shelf;
mod stream;

use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;

use options::{Command, Options};

fn main() -> ExitCode {
    let outcome = match options::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            // Nobody to tell when stdout is closed.
            let _ = std::io::stdout().write_all(options::HELP.as_bytes());
            Ok(())
        }
        Ok(Command::Serve(options)) => listen(&options),
        Err(message) => Err(format!("{message}\nTry 'mock-engine --help'.")),
    };

    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mock-engine: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the process is killed; SIGTERM keeps its default action.
fn listen(options: &Options) -> Result<(), String> {
    let listener = TcpListener::bind(&options.listen)
        .map_err(|e| format!("cannot listen on {}: {e}", options.listen))?;
    let address = listener.local_addr().map_err(|e| format!("no local address: {e}"))?;

    // The line that scripts wait for; they may well close the pipe before it is written.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on {address}");
    let _ = stdout.flush();

    server::serve(&listener, options.pace, options.engine)
}
