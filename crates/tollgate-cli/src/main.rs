//! The `tollgate` command: API keys, tokens and the audit log.
#![forbid(unsafe_code)]

mod audit;
mod check;
mod client;
mod cluster;
mod control;
mod doctor;
mod escape;
mod exit;
mod guard;
mod import;
mod init;
mod jwt;
mod key;
mod keys_file;
mod limit;
mod nginx;
mod rules_files;
mod status;
mod time;

use clap::{CommandFactory as _, Parser, Subcommand};

use exit::{Exit, Failure};

/// Keys, tokens and the audit log of Tollgate; and what of it is in force.
///
/// Exit status: 0 if it was done, or the answer is yes; 1 if the answer is no (a key or token is not
/// good, a file has faults, nothing was found); 2 if the command line is wrong; 3 if it could not be
/// done.
#[derive(Parser)]
#[command(name = "tollgate", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// API keys: make, list, change, revoke, import.
    #[command(subcommand)]
    Key(key::Command),
    /// JSON Web Tokens: issue, look into, verify; make signing keys.
    #[command(subcommand)]
    Jwt(jwt::Command),
    /// The audit log: reports, and what is going on now.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Clients: what they have left; give one a fresh limit, or end its requests.
    #[command(subcommand)]
    Client(client::Command),
    /// Limits of tollgate_limit: how one stands for an address, a tenant, or another key; give it anew.
    #[command(subcommand)]
    Limit(limit::Command),
    /// Guards: what they find in a text, how well they do on many, and whether rules are good.
    #[command(subcommand)]
    Guard(guard::Command),
    // The documentation of these is that of their arguments, which is longer.
    Check(check::Arguments),
    Status(status::Arguments),
    Init(Box<init::Arguments>),
    Doctor(doctor::Arguments),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command, into a folder.
    Man {
        /// The folder, such as /usr/local/share/man/man1. It must be there.
        directory: std::path::PathBuf,
    },
}

fn main() -> std::process::ExitCode {
    exit::survive_file_size_limit();
    let outcome = match Arguments::parse().command {
        Command::Key(command) => command.run(),
        Command::Jwt(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Client(command) => command.run(),
        Command::Limit(command) => command.run(),
        Command::Guard(command) => command.run(),
        Command::Check(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Init(arguments) => arguments.run(),
        Command::Doctor(arguments) => arguments.run(),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => manual_pages(&directory),
    };
    exit::code(outcome)
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tollgate", &mut text);
    exit::print(&text)?;
    Ok(Exit::Yes)
}

fn manual_pages(directory: &std::path::Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Arguments::command(), directory).map_err(|error| {
        Failure::failed(format!(
            "cannot write manual pages into {}: {error}; the folder must be there",
            escape::shown(&directory.display().to_string())
        ))
    })?;
    Ok(Exit::Yes)
}
