//! nginx, as a program that can be asked.
//!
//! * `said`: what it says of a configuration;
//! * `users`: as whom its workers run.

mod said;
mod users;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use said::said;
pub(crate) use users::{user_of, Account};

use tollgate_doctor::facts::Said;

/// A program of nginx.
pub(crate) struct Nginx {
    program: PathBuf,
    /// The folder that it takes for the root of all files, if that is another one.
    root: Option<PathBuf>,
    /// What it says about itself.
    pub(crate) build: Build,
}

/// How a program of nginx was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) version: Option<(u32, u32, u32)>,
    /// The configuration that it reads, unless it is told otherwise.
    pub(crate) conf_path: Option<String>,
    /// The folder from which relative paths are taken.
    pub(crate) prefix: Option<String>,
    /// Where relative paths of modules are.
    pub(crate) modules_path: Option<String>,
    /// Where it writes its number.
    pub(crate) pid_path: Option<String>,
    /// Whether Tollgate is a part of it.
    pub(crate) is_static: bool,
}

/// What nginx said of a configuration.
pub(crate) struct Verdict {
    pub(crate) is_good: bool,
    pub(crate) said: Vec<Said>,
    /// All files of the configuration; empty where it is not good.
    pub(crate) dump: String,
    /// All that it said, as it said it.
    pub(crate) text: String,
}

/// Where nginx is, where `PATH` doesn't say.
const USUAL: [&str; 4] = [
    "/usr/sbin/nginx",
    "/usr/local/sbin/nginx",
    "/usr/local/nginx/sbin/nginx",
    "/usr/local/openresty/nginx/sbin/nginx",
];

/// The nginx of this machine, or of the system in a folder; `None`: there is none.
pub(crate) fn find(root: Option<&Path>) -> Option<PathBuf> {
    match root {
        None => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let of_path = std::env::split_paths(&path).map(|folder| folder.join("nginx"));
            of_path.chain(USUAL.iter().map(PathBuf::from)).find(|path| path.is_file())
        }
        Some(root) => {
            let inside = |path: &&&str| root.join(path.trim_start_matches('/')).is_file();
            USUAL.iter().find(|path| inside(path)).map(PathBuf::from)
        }
    }
}

impl Nginx {
    /// That of this path; of this path in the folder `root`, if there is one.
    ///
    /// # Errors
    ///
    /// Why it can't be run.
    pub(crate) fn new(program: PathBuf, root: Option<&Path>) -> Result<Self, String> {
        let root = root.map(Path::to_owned);
        let mut nginx = Self { program, root, build: Build::default() };
        let (_, text, _) = nginx.run(&["-V"])?;
        nginx.build = Build::of(&text);
        match nginx.build.version {
            Some(_) => Ok(nginx),
            None => Err(format!("{} doesn't say its version", nginx.program.display())),
        }
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Has it read a configuration: that of `conf`, or the one that it was built for.
    pub(crate) fn judge(
        &self,
        conf: Option<&Path>,
        prefix: Option<&Path>,
    ) -> Result<Verdict, String> {
        let mut arguments = vec!["-T".to_owned()];
        for (flag, path) in [("-c", conf), ("-p", prefix)] {
            if let Some(path) = path {
                arguments.push(flag.to_owned());
                arguments.push(path.to_str().ok_or("a path is not in UTF-8")?.to_owned());
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (dump, text, is_good) = self.run(&arguments)?;
        Ok(Verdict { is_good, said: said(&text), dump, text })
    }

    /// What it writes to stdout and to stderr, and whether it ended well.
    fn run(&self, arguments: &[&str]) -> Result<(String, String, bool), String> {
        let mut command = match &self.root {
            None => Command::new(&self.program),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(&self.program);
                command
            }
        };
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output =
            output.map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((text(output.stdout), text(output.stderr), output.status.success()))
    }
}

impl Build {
    /// Of what `nginx -V` says.
    fn of(text: &str) -> Self {
        let version = text.lines().find_map(|line| line.split_once("nginx/").map(|(_, rest)| rest));
        let version = version.and_then(|rest| {
            let rest = rest.split(|c: char| !(c.is_ascii_digit() || c == '.')).next()?;
            let mut numbers = rest.split('.').map(str::parse);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
                _ => None,
            }
        });
        let option = |name: &str| {
            let (_, rest) = text.split_once(&format!(" --{name}="))?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        let prefix = option("prefix").unwrap_or_else(|| "/usr/local/nginx".to_owned());
        let conf_path = option("conf-path").unwrap_or_else(|| format!("{prefix}/conf/nginx.conf"));
        // A module that is loaded stands behind --add-dynamic-module, if it was built with nginx.
        let is_static = text
            .split_whitespace()
            .any(|word| word.starts_with("--add-module=") && word.contains("tollgate"));
        Self {
            version,
            is_static,
            conf_path: Some(conf_path),
            modules_path: option("modules-path"),
            pid_path: option("pid-path"),
            prefix: Some(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_was_built_with_is_read() {
        let build = Build::of(
            "nginx version: nginx/1.22.1\nTLS SNI support enabled\nconfigure arguments: --with-cc-opt='-O2' \
             --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --modules-path=/usr/lib/nginx/modules\n",
        );
        assert_eq!(build.version, Some((1, 22, 1)));
        assert_eq!(build.conf_path.as_deref(), Some("/etc/nginx/nginx.conf"));
        assert_eq!(build.prefix.as_deref(), Some("/usr/share/nginx"));
        assert_eq!(build.modules_path.as_deref(), Some("/usr/lib/nginx/modules"));
        let bare = Build::of("nginx version: nginx/1.28.3 (x)\nconfigure arguments:\n");
        assert_eq!(bare.version, Some((1, 28, 3)));
        assert_eq!(bare.conf_path.as_deref(), Some("/usr/local/nginx/conf/nginx.conf"));
        assert_eq!(Build::of("something else").version, None);
    }
}
