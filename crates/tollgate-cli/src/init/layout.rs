//! Where nginx of this system has its files, and what is there already.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tollgate_doctor::conf::token::{tokens, Token};
use tollgate_doctor::conf::tree::{read, Files};
use tollgate_doctor::conf::Conf;

use super::values::Listen;
use crate::doctor::kernel::listening;
use crate::exit::Failure;
use crate::nginx::{user_of, Account, Build};

const CONF: &str = "/etc/nginx/nginx.conf";
/// The folder of the package, with its own rotation, and the log in it.
const LOG_FOLDER: &str = "/var/log/tollgate";
const AUDIT_LOG: &str = "/var/log/tollgate/audit.log";
/// The log without that folder: Debian's logrotate takes care of all in nginx's.
const AUDIT_LOG_OF_NGINX: &str = "/var/log/nginx/tollgate.log";
/// The names under which the module is installed.
const MODULES: [&str; 3] = ["ngx_http_tollgate_module.so", "libtollgate.so", "tollgate.so"];

/// Where a system has what. Paths are those of the system, without the folder that it is in.
#[derive(Debug)]
pub(super) struct Layout {
    /// The file of the server.
    pub(super) site: String,
    /// The link that puts it into force, and where it leads, where a site needs one.
    pub(super) link: Option<(String, String)>,
    /// The file that loads the module, and its line, where none does.
    pub(super) load_module: Option<(String, String)>,
    pub(super) account: Account,
    /// The audit log: in a folder whose logs are rotated.
    pub(super) audit_log: &'static str,
    /// The ports at which nginx listens, or would after a reload.
    ports: Vec<u16>,
    /// A file that configures Tollgate already, with its line.
    configured: Option<(String, usize)>,
    /// Whether the file of the server is there.
    has_site: bool,
}

/// A path of a system, as this one knows it.
pub(super) fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The files of a system in a folder.
struct Rooted<'r>(&'r Path);

impl Files for Rooted<'_> {
    fn read(&self, path: &str) -> Option<String> {
        fs::read(inside(self.0, path))
            .ok()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn matching(&self, pattern: &glob::Pattern) -> Vec<String> {
        // A link may lead to a path of the system, which is another one here. So only the names count.
        let Some((folder, _)) = pattern.as_str().rsplit_once('/') else { return Vec::new() };
        let names = fs::read_dir(inside(self.0, folder)).into_iter().flatten().flatten();
        let paths = names.map(|name| format!("{folder}/{}", name.file_name().to_string_lossy()));
        let options =
            glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let mut found: Vec<String> = paths
            .filter(|path| pattern.matches_with(path, options) && self.read_link(path).is_some())
            .collect();
        found.sort();
        found
    }
}

impl Rooted<'_> {
    /// The file that a path leads to, if it is there.
    fn read_link(&self, path: &str) -> Option<PathBuf> {
        let found = inside(self.0, path);
        fs::metadata(&found).ok().map(|_| found)
    }
}

impl Layout {
    /// That of the system in this folder.
    pub(super) fn of(root: &Path, build: Option<&Build>) -> Result<Self, Failure> {
        let path = inside(root, CONF);
        let text = fs::read(&path).map_err(|error| {
            Failure::failed(format!("cannot read {}: {error}; is nginx installed?", path.display()))
        })?;
        let included = includes(&String::from_utf8_lossy(&text));
        let conf = read(&Rooted(root), CONF).map_err(|error| Failure::failed(error.to_string()))?;
        let conf = Conf::new(conf);

        let has_folder = |path: &str| inside(root, path).is_dir();
        let is_included = |pattern: &str| included.iter().any(|one| one == pattern);
        let is_debian = ["/etc/nginx/sites-enabled/*", "/etc/nginx/sites-enabled/*.conf"]
            .into_iter()
            .find(|pattern| is_included(pattern) && has_folder("/etc/nginx/sites-enabled"));
        let (site, link) = match is_debian {
            Some(pattern) if has_folder("/etc/nginx/sites-available") => {
                let name = if pattern.ends_with(".conf") { "tollgate.conf" } else { "tollgate" };
                (
                    format!("/etc/nginx/sites-available/{name}"),
                    Some((
                        format!("/etc/nginx/sites-enabled/{name}"),
                        format!("../sites-available/{name}"),
                    )),
                )
            }
            _ if is_included("/etc/nginx/conf.d/*.conf") && has_folder("/etc/nginx/conf.d") => {
                ("/etc/nginx/conf.d/tollgate.conf".to_owned(), None)
            }
            _ => {
                return Err(Failure::failed(format!(
                    "{CONF} includes neither sites-enabled/* nor conf.d/*.conf: add \"include \
                     /etc/nginx/conf.d/*.conf;\" to its \"http\" block, and make that folder"
                )))
            }
        };
        let account = user_of(&conf, root).ok_or_else(|| {
            let user = conf.top("user").and_then(|line| line.arg(0)).unwrap_or("nobody");
            Failure::failed(format!(
                "the user of nginx's workers, \"{}\", is not in /etc/passwd, or has no group",
                user.escape_debug()
            ))
        })?;
        let configured = conf.in_http("tollgate_zone").last();
        let configured = configured.map(|line| (line.place.file.to_string(), line.place.line));
        let load_module = match is_loaded(&conf, build) {
            true => None,
            false => Some(how_to_load(root, build, &included)?),
        };
        let has_site = inside(root, &site).exists();
        let audit_log = if has_folder(LOG_FOLDER) { AUDIT_LOG } else { AUDIT_LOG_OF_NGINX };
        let listens = conf.everywhere("listen").into_iter();
        let ports = listens.filter_map(|line| port_of(line.arg(0)?)).collect();
        Ok(Self { ports, audit_log, site, link, load_module, account, configured, has_site })
    }

    /// Whether a program other than nginx listens where the server is to: nginx would not say so before it is reloaded.
    pub(super) fn is_taken(&self, listen: &Listen) -> bool {
        let is_in_the_way = |other: SocketAddr| {
            let is_everywhere = other.ip().is_unspecified() || listen.address.is_none();
            other.port() == listen.port && (is_everywhere || listen.address == Some(other.ip()))
        };
        !self.ports.contains(&listen.port) && listening().into_iter().any(is_in_the_way)
    }

    /// Refuses to go on where somebody has configured Tollgate already.
    pub(super) fn refuse_others(&self, is_forced: bool) -> Result<(), Failure> {
        if self.has_site && !is_forced {
            return Err(Failure::failed(format!(
                "{} is there already; --force replaces it, and keeps it as {0}.before-init",
                self.site
            )));
        }
        let is_ours = |file: &str| {
            file == self.site || self.link.as_ref().is_some_and(|(link, _)| file == link)
        };
        match &self.configured {
            Some((file, line)) if !is_ours(file) => Err(Failure::failed(format!(
                "Tollgate is configured already, in {file}:{line}; change that, or \"tollgate doctor\" tells what is \
                 wrong with it"
            ))),
            _ => Ok(()),
        }
    }
}

/// The port of what a `listen` names.
fn port_of(listen: &str) -> Option<u16> {
    match listen.rsplit_once(':') {
        _ if listen.starts_with("unix:") => None,
        Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
        _ => Some(listen.parse().unwrap_or(80)),
    }
}

/// The patterns that a file includes, as paths of the system.
fn includes(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for (_, token) in tokens(text).unwrap_or_default() {
        match token {
            Token::Word(word) => words.push(word),
            _ => {
                if let [name, pattern] = words.as_slice() {
                    if name == "include" {
                        found.push(match pattern.starts_with('/') {
                            true => pattern.clone(),
                            false => format!("/etc/nginx/{pattern}"),
                        });
                    }
                }
                words.clear();
            }
        }
    }
    found
}

fn is_loaded(conf: &Conf, build: Option<&Build>) -> bool {
    let lines = conf.main().iter().filter(|line| line.name == "load_module");
    let mut names = lines.filter_map(|line| line.arg(0)?.rsplit('/').next());
    names.any(|name| name.contains("tollgate")) || build.is_some_and(|build| build.is_static)
}

/// The file that will load the module, and its line.
fn how_to_load(
    root: &Path,
    build: Option<&Build>,
    included: &[String],
) -> Result<(String, String), Failure> {
    const ENABLED: &str = "/etc/nginx/modules-enabled";
    let of_build = build.and_then(|build| build.modules_path.clone());
    let folders = of_build.into_iter().chain(
        ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"]
            .map(str::to_owned),
    );
    let paths = folders.flat_map(|folder| MODULES.map(|name| format!("{folder}/{name}")));
    let Some(module) = paths.into_iter().find(|path| inside(root, path).exists()) else {
        return Err(Failure::failed(
            "the module is not installed: apt install libnginx-mod-http-tollgate, or scripts/build and \
             docs/operations.md",
        ));
    };
    let line = format!("load_module {module};\n");
    match included.iter().any(|pattern| *pattern == format!("{ENABLED}/*.conf")) {
        true => Ok((format!("{ENABLED}/50-tollgate.conf"), line)),
        false => Err(Failure::failed(format!(
            "nginx doesn't load the module: put \"{}\" at the top of {CONF}, outside of all blocks",
            line.trim_end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_server_is_found() {
        let ports =
            ["80", "127.0.0.1:81", "[::]:82", "*:83", "api.example.com", "[::1]", "unix:/x:84"];
        let found: Vec<Option<u16>> = ports.iter().map(|listen| port_of(listen)).collect();
        assert_eq!(found, [Some(80), Some(81), Some(82), Some(83), Some(80), Some(80), None]);
    }

    #[test]
    fn includes_are_found_with_and_without_a_folder() {
        let text = "include modules-enabled/*.conf;\nhttp { include \"/etc/nginx/conf.d/*.conf\"; # include x;\n }";
        assert_eq!(
            includes(text),
            ["/etc/nginx/modules-enabled/*.conf", "/etc/nginx/conf.d/*.conf"]
        );
    }
}
