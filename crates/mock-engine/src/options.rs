//! The command line.

use std::time::Duration;

use crate::engine::Engine;

pub(crate) const HELP: &str = include_str!("help.txt");

/// How fast answers come, and how long they are, unless the request says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Before the answer begins.
    pub(crate) latency: Duration,
    /// Before each token.
    pub(crate) token_delay: Duration,
    /// Length of an answer, in tokens.
    pub(crate) tokens: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Anything that resolves to a socket address.
    pub(crate) listen: String,
    pub(crate) pace: Pace,
    /// The server to stand for.
    pub(crate) engine: Option<Engine>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Serve(Options),
}

/// Reads the arguments that follow the program's name.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        listen: "127.0.0.1:8000".to_owned(),
        pace: Pace { latency: Duration::ZERO, token_delay: Duration::ZERO, tokens: 16 },
        engine: None,
    };

    while let Some(name) = arguments.next() {
        if name == "--help" || name == "-h" {
            return Ok(Command::Help);
        }
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        let number = |value: String| {
            value.parse::<u64>().map_err(|_| format!("{name}: '{value}' is not a whole number"))
        };
        match name.as_str() {
            "--listen" => options.listen = value()?,
            "--latency-ms" => options.pace.latency = Duration::from_millis(number(value()?)?),
            "--token-delay-ms" => {
                options.pace.token_delay = Duration::from_millis(number(value()?)?);
            }
            "--engine" => {
                let name = value()?;
                options.engine = Some(
                    Engine::of(&name).ok_or_else(|| format!("--engine: '{name}' is not known"))?,
                );
            }
            "--tokens" => options.pace.tokens = number(value()?)?,
            _ => return Err(format!("unknown option '{name}'")),
        }
    }

    Ok(Command::Serve(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Command, String> {
        parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_read() {
        let words =
            "--engine vllm --listen 127.0.0.1:0 --latency-ms 5 --token-delay-ms 7 --tokens 3";
        let pace = Pace {
            latency: Duration::from_millis(5),
            token_delay: Duration::from_millis(7),
            tokens: 3,
        };
        let listen = "127.0.0.1:0".to_owned();
        let options = Options { listen, pace, engine: Some(Engine::Vllm) };
        assert_eq!(parse_words(words), Ok(Command::Serve(options)));
    }

    #[test]
    fn the_default_address_is_loopback() {
        let Ok(Command::Serve(options)) = parse_words("") else { panic!("not served") };
        assert_eq!(options.listen, "127.0.0.1:8000");
    }

    #[test]
    fn a_mistake_is_named() {
        assert_eq!(parse_words("--tokens"), Err("--tokens needs a value".to_owned()));
        assert_eq!(
            parse_words("--tokens -1"),
            Err("--tokens: '-1' is not a whole number".to_owned())
        );
        assert_eq!(parse_words("--port 1"), Err("unknown option '--port'".to_owned()));
    }
}
