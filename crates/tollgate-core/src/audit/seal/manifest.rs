//! Lines of a chain that are signed: the one that it begins with, and those that name the heads of all chains.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::chain::encoded;
use super::id::{ChainId, Mac, Stamp};
use super::key::{KeyId, Signer};
use crate::audit::TimeFormat;

/// The first line of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) chain: ChainId,
    pub(super) key: String,
    pub(super) up_ms: u64,
    /// The hash of the latest manifest before it.
    pub(super) before: Option<Mac>,
    /// The machine has crashed since then.
    pub(super) is_after_crash: bool,
}

/// What was known of all chains at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// From 1 on, over all generations.
    pub(super) number: u64,
    pub(super) key: String,
    /// In which it was written.
    pub(super) generation: u32,
    /// How many chains had begun in it.
    pub(super) chains_begun: u32,
    /// The hash of the manifest before; `None`: it is the first one.
    pub(super) before: Option<Mac>,
    /// The machine has crashed since then, or was started anew, and may have lost what it had written last.
    pub(super) is_after_crash: bool,
    pub(super) chains: Vec<Known>,
}

/// How a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its worker lives.
    Open,
    /// Its worker has ended, and sealed all it had.
    Ended,
    /// Its worker is gone, and hadn't.
    Killed,
    /// So is the machine, or what it had not yet written to its disks.
    Crashed,
}

impl State {
    const ALL: [Self; 4] = [Self::Open, Self::Ended, Self::Killed, Self::Crashed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
        }
    }
}

/// What is known of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) chain: ChainId,
    pub(super) state: State,
    /// `None`: nothing of it was written.
    pub(super) head: Option<Head>,
    /// The number of the last line that it made, written or not.
    pub(super) made: u64,
    /// How many lines were lost that got no number.
    pub(super) lost: u64,
    /// When its first seal was written, on the monotonic clock, in milliseconds.
    pub(super) since_ms: u64,
}

/// The last seal of a chain that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) number: u64,
    /// The number of the last line.
    pub(super) last: u64,
    pub(super) file: u64,
    pub(super) mac: Mac,
    /// When it was made, on the monotonic clock, in milliseconds.
    pub(super) up_ms: u64,
}

fn begin(out: &mut Vec<u8>, stamp: Stamp, key: &KeyId) {
    out.extend_from_slice(b",\"time\":\"");
    TimeFormat::default().write(stamp.time, out);
    out.extend_from_slice(format!("\",\"up\":{},\"key\":\"{key}\"", stamp.up_ms).as_bytes());
}

/// Signs what `out` holds, and ends the line.
fn end(out: &mut Vec<u8>, signer: &Signer) {
    let signature = signer.sign(out);
    out.extend_from_slice(format!(",\"sig\":\"{signature}\"}}}}\n").as_bytes());
}

fn crash(is_after_crash: bool) -> &'static str {
    match is_after_crash {
        true => ",\"crash\":true",
        false => "",
    }
}

/// A hash, or nothing.
fn shown(hash: Option<Mac>) -> String {
    hash.map_or(String::new(), |hash| encoded(&hash.0))
}

/// The outer `None`: it is neither.
fn read(text: &str) -> Option<Option<Mac>> {
    match text {
        "" => Some(None),
        text => Mac::parse(text).map(Some),
    }
}

impl Opening {
    /// The line, but for its number in the chain. `before`: the latest manifest.
    pub(super) fn write(
        chain: ChainId,
        stamp: Stamp,
        key: &KeyId,
        (before, is_after_crash): (Option<Mac>, bool),
        signer: &Signer,
    ) -> Vec<u8> {
        let mut out = format!("{{\"seal\":{{\"open\":\"{chain}\"").into_bytes();
        begin(&mut out, stamp, key);
        let before = shown(before);
        out.extend_from_slice(
            format!(",\"before\":\"{before}\"{}", crash(is_after_crash)).as_bytes(),
        );
        end(&mut out, signer);
        out
    }

    pub(super) fn parse(object: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            seal: Text<'a>,
        }
        #[derive(Deserialize)]
        struct Text<'a> {
            open: &'a str,
            key: &'a str,
            up: u64,
            before: &'a str,
            #[serde(default)]
            crash: bool,
        }
        let text = serde_json::from_slice::<Line<'_>>(object).ok()?.seal;
        let (chain, before) = (ChainId::parse(text.open)?, read(text.before)?);
        Some(Self {
            chain,
            key: text.key.to_owned(),
            up_ms: text.up,
            before,
            is_after_crash: text.crash,
        })
    }
}

impl Manifest {
    /// The line, but for its number in the chain; and its hash.
    pub(super) fn write(&self, stamp: Stamp, key: &KeyId, signer: &Signer) -> (Vec<u8>, Mac) {
        let mut out = format!("{{\"seal\":{{\"manifest\":{}", self.number).into_bytes();
        begin(&mut out, stamp, key);
        let before = shown(self.before);
        out.extend_from_slice(
            format!(
                ",\"generation\":{},\"begun\":{},\"before\":\"{before}\"{},\"chains\":[",
                self.generation,
                self.chains_begun,
                crash(self.is_after_crash)
            )
            .as_bytes(),
        );
        for (at, known) in self.chains.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let Known { chain, state, head, made, lost, since_ms } = known;
            out.extend_from_slice(
                format!(
                    "{{\"chain\":\"{chain}\",\"state\":\"{}\",\"made\":{made},\"lost\":{lost}",
                    state.as_str()
                )
                .as_bytes(),
            );
            if let Some(Head { number, last, file, mac, up_ms }) = head {
                let mac = encoded(&mac.0);
                out.extend_from_slice(
                    format!(
                        ",\"n\":{number},\"last\":{last},\"file\":{file},\"since\":{since_ms},\"up\":{up_ms},\
                         \"mac\":\"{mac}\""
                    )
                    .as_bytes(),
                );
            }
            out.push(b'}');
        }
        out.push(b']');
        let hash = Self::hash(&out);
        end(&mut out, signer);
        (out, hash)
    }

    /// Of what is signed of it.
    pub(super) fn hash(signed: &[u8]) -> Mac {
        Mac(Sha256::digest(signed).into())
    }

    pub(super) fn parse(object: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            seal: Text<'a>,
        }
        #[derive(Deserialize)]
        struct Text<'a> {
            manifest: u64,
            key: &'a str,
            generation: u32,
            begun: u32,
            before: &'a str,
            #[serde(default)]
            crash: bool,
            #[serde(borrow)]
            chains: Vec<KnownText<'a>>,
        }
        #[derive(Deserialize)]
        struct KnownText<'a> {
            chain: &'a str,
            state: &'a str,
            made: u64,
            lost: u64,
            n: Option<u64>,
            last: Option<u64>,
            file: Option<u64>,
            #[serde(default)]
            since: u64,
            #[serde(default)]
            up: u64,
            mac: Option<&'a str>,
        }
        let text = serde_json::from_slice::<Line<'_>>(object).ok()?.seal;
        let known = |known: KnownText<'_>| {
            let head = match (known.n, known.last, known.file, known.mac) {
                (Some(number), Some(last), Some(file), Some(mac)) => {
                    Some(Head { number, last, file, mac: Mac::parse(mac)?, up_ms: known.up })
                }
                _ => None,
            };
            Some(Known {
                chain: ChainId::parse(known.chain)?,
                state: State::ALL.into_iter().find(|state| state.as_str() == known.state)?,
                head,
                made: known.made,
                lost: known.lost,
                since_ms: known.since,
            })
        };
        Some(Self {
            number: text.manifest,
            key: text.key.to_owned(),
            generation: text.generation,
            chains_begun: text.begun,
            before: read(text.before)?,
            is_after_crash: text.crash,
            chains: text.chains.into_iter().map(known).collect::<Option<_>>()?,
        })
    }
}
