//! `tollgate guard check`

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde_json::json;
use tollgate_core::guards::files::{rules, ReadRules};

use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};
use crate::rules_files;

/// Say whether nginx would take these rules (tollgate_guard_rules), and what is wrong with them.
///
/// Each rule is made ready, and looked for in its own test cases: it has to be found in its hits, and in none of
/// its misses.
///
/// Exit status: 0 if they are good; 1 if not.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file, or the folder of files whose names end in ".toml".
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    path: PathBuf,
    /// Without the rules that are shipped, as with "alone" in nginx.conf.
    #[arg(long)]
    alone: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let read = read(&self.path, self.alone)?;
        let out = match (&read, self.json) {
            (Ok(read), true) => json!({
                "ok": true, "version": read.rules.version(), "rules": read.rules.ids(), "warnings": read.remarks,
            }),
            (Err(error), true) => json!({ "ok": false, "error": error }),
            (Ok(ReadRules { rules, remarks }), false) => {
                let mut out = format!(
                    "{}: good; {} rules of {} hold together\n",
                    shown(&self.path.to_string_lossy()),
                    rules.ids().len(),
                    rules.version()
                );
                remarks
                    .iter()
                    .for_each(|remark| out.push_str(&format!("warning: {}\n", shown(remark))));
                print(out.as_bytes())?;
                return Ok(Exit::Yes);
            }
            (Err(error), false) => {
                print(format!("{}\n", shown(error)).as_bytes())?;
                return Ok(Exit::No);
            }
        };
        print(format!("{}\n", shown_json(&out.to_string())).as_bytes())?;
        Ok(if read.is_ok() { Exit::Yes } else { Exit::No })
    }
}

/// The rules at a path, or what is wrong with them.
///
/// # Errors
///
/// There is nothing to be read.
pub(super) fn read(path: &Path, alone: bool) -> Result<Result<ReadRules, String>, Failure> {
    let bytes = rules_files::read(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    Ok(rules(&path.to_string_lossy(), &bytes, alone))
}
