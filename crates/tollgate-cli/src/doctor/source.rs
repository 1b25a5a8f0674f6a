//! The configuration: as nginx tells it; or, where it doesn't, as the files have it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tollgate_doctor::conf::tree::{parse, read, Files};
use tollgate_doctor::conf::Conf;
use tollgate_doctor::facts::{Said, User};
use tollgate_doctor::named::Folders;
use tollgate_doctor::{Facts, Severity};

use crate::exit::Failure;
use crate::nginx::{find, Nginx};

/// A configuration, and what was learned on the way to it.
pub(crate) struct Source {
    /// How it is called.
    pub(crate) name: String,
    pub(crate) conf: Conf,
    pub(crate) folders: Folders,
    pub(crate) facts: Facts,
    /// Where nginx writes its number, unless it is told otherwise.
    pub(crate) pid_path: String,
    /// What could not be looked at, and why.
    pub(crate) unknown: Vec<String>,
}

/// What `nginx -T` has printed.
pub(super) fn dumped(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let failed = |error| Failure::failed(format!("cannot read {name}: {error}"));
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
            bytes
        }
        false => fs::read(path).map_err(failed)?,
    };
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Err(Failure::failed(format!(
            "there is nothing in {name}; nginx -T prints nothing if it isn't run as root"
        )));
    }
    let conf = parse(&text, &name).map_err(|error| Failure::failed(error.to_string()))?;
    let unknown = vec!["the machine, as a dump was given".to_owned()];
    Ok(Source {
        name,
        conf: Conf::new(conf),
        folders: Folders::default(),
        facts: Facts::default(),
        pid_path: String::new(),
        unknown,
    })
}

/// The configuration of the nginx that is installed.
pub(crate) fn asked(
    program: Option<PathBuf>,
    config: Option<&Path>,
    prefix: Option<&Path>,
) -> Result<Source, Failure> {
    let found = program.clone().or_else(|| find(None));
    let nginx = match found {
        Some(path) => Nginx::new(path, None),
        None => Err("there is no nginx in PATH; name it with --nginx".to_owned()),
    };
    let nginx = match nginx {
        Ok(nginx) => nginx,
        Err(why) if program.is_some() || config.is_none() => return Err(Failure::failed(why)),
        // A file can be judged without nginx.
        Err(why) => {
            let conf = config.unwrap_or(Path::new("nginx.conf"));
            return of_files(conf, prefix, Facts::default(), vec![format!("nginx itself: {why}")]);
        }
    };
    // nginx would take a relative path from its prefix, and not from where we are.
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| Failure::failed(error.to_string()));
    let config = config.map(absolute).transpose()?;
    let prefix = prefix.map(absolute).transpose()?;
    let mut verdict = nginx.judge(config.as_deref(), prefix.as_deref()).map_err(Failure::failed)?;
    // That is no news to whoever isn't root.
    let is_of_user = |said: &Said| {
        said.text.contains("only if the master process runs with super-user privileges")
    };
    verdict.said.retain(|said| !is_of_user(said));
    let facts = Facts { nginx: nginx.build.version, ..Facts::default() };
    let prefix =
        prefix.unwrap_or_else(|| PathBuf::from(nginx.build.prefix.clone().unwrap_or_default()));
    let of_build =
        |path: &Option<String>, usual: &str| prefix.join(path.as_deref().unwrap_or(usual));
    let path = config.unwrap_or_else(|| of_build(&nginx.build.conf_path, "conf/nginx.conf"));
    let pid_path = of_build(&nginx.build.pid_path, "logs/nginx.pid").display().to_string();
    let is_root = rustix::process::geteuid().is_root();
    if verdict.is_good {
        let name = path.display().to_string();
        let conf =
            parse(&verdict.dump, &name).map_err(|error| Failure::failed(error.to_string()))?;
        // Who isn't root, and may do all that nginx has to, is who runs it, as in many containers.
        let workers = match is_root {
            true => None,
            false => Some(this_user()),
        };
        let facts = Facts { said: verdict.said, workers, ..facts };
        return Ok(Source {
            name,
            conf: Conf::new(conf),
            folders: folders(&path, &prefix),
            facts,
            pid_path,
            unknown: Vec::new(),
        });
    }
    // Who isn't root may not open nginx's files, and nginx says so, which is nobody's fault.
    let is_ours = |said: &Said| !is_root && said.text.contains("Permission denied");
    let (closed, said): (Vec<Said>, Vec<Said>) = verdict.said.into_iter().partition(is_ours);
    let unknown = match closed.is_empty() {
        true => Vec::new(),
        false => vec!["what nginx itself says, as that takes root".to_owned()],
    };
    let mut facts = Facts { said, ..facts };
    let is_told = facts.said.iter().any(|said| said.severity == Severity::Error);
    if !is_told && closed.is_empty() {
        let text =
            verdict.text.lines().last().unwrap_or("nginx refuses the configuration").to_owned();
        facts.said.push(Said { severity: Severity::Error, text, place: None });
    }
    of_files(&path, Some(&prefix), facts, unknown).map(|source| Source { pid_path, ..source })
}

fn this_user() -> User {
    use rustix::process::{getegid, geteuid, getgroups};
    let groups = getgroups().unwrap_or_default();
    let gids = [getegid()].into_iter().chain(groups).map(|group| group.as_raw()).collect();
    let uid = geteuid().as_raw();
    User { name: uid.to_string(), uid, gids }
}

fn folders(conf: &Path, prefix: &Path) -> Folders {
    let conf = conf.parent().unwrap_or(Path::new("/"));
    Folders { conf: conf.display().to_string(), prefix: prefix.display().to_string() }
}

/// The configuration as the files have it, read without nginx.
fn of_files(
    path: &Path,
    prefix: Option<&Path>,
    facts: Facts,
    unknown: Vec<String>,
) -> Result<Source, Failure> {
    let path = std::path::absolute(path).map_err(|error| Failure::failed(error.to_string()))?;
    let name = path.display().to_string();
    let conf = match read(&Disk, &name) {
        Ok(conf) => conf,
        // That nginx refuses it is known already, and why.
        Err(_) if !facts.said.is_empty() => Vec::new(),
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let folders = folders(&path, prefix.unwrap_or(&folder));
    Ok(Source { name, conf: Conf::new(conf), folders, facts, pid_path: String::new(), unknown })
}

/// The files of this machine.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> Option<String> {
        fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn matching(&self, pattern: &glob::Pattern) -> Vec<String> {
        let options =
            glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let found = glob::glob_with(pattern.as_str(), options).into_iter().flatten().flatten();
        let mut found: Vec<String> =
            found.map(|path| path.to_string_lossy().into_owned()).collect();
        found.sort();
        found
    }
}
