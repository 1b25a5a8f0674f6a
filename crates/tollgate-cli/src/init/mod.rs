//! `tollgate init`: a first server, from nothing to a line of curl.
//!
//! * `values`: what the command line takes;
//! * `layout`: where nginx of this system has its files, and what is there already;
//! * `site`: the text of the configuration;
//! * `changes`: files that are made, and how to unmake them;
//! * `words`: what is said at the end.

mod changes;
mod layout;
mod site;
mod values;
mod words;

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use tollgate_core::llm::Engine;

use crate::exit::{print, tell, Exit, Failure};
use crate::key::new_key;
use crate::keys_file::{self, Entry};
use crate::nginx::{find, Nginx};
use crate::time::{date_of, now};
use changes::Changes;
use layout::Layout;
use site::{Certificate, Site};
use values::{backend, domain, engine, listen, BackendUrl, Listen};

/// The folder of keys, and the file in it.
const KEYS_FOLDER: &str = "/etc/nginx/tollgate";
const KEYS_FILE: &str = "/etc/nginx/tollgate/keys.json";
/// Who else may read what is in it: nobody. What is made in it belongs to the group of the workers.
const KEYS_MODE: u32 = 0o2750;
/// The folder of the state, which nginx makes.
const STATE_FOLDER: &str = "/var/lib/tollgate";
/// The mode of the audit log.
const AUDIT_LOG_MODE: u32 = 0o640;

/// Put Tollgate before an engine: a configuration of nginx, a folder for keys, a first key
///
/// Writes, for Debian's layout, /etc/nginx/sites-available/tollgate and a link to it in sites-enabled; for nginx.org's,
/// /etc/nginx/conf.d/tollgate.conf. Where nothing loads the module, /etc/nginx/modules-enabled/50-tollgate.conf does.
/// Keys are in /etc/nginx/tollgate/keys.json, the audit log is /var/log/tollgate/audit.log, or
/// /var/log/nginx/tollgate.log without the package's folder, and what clients have used
/// is in /var/lib/tollgate/state.
///
/// Then nginx judges it (nginx -t). If it refuses, all is put back as it was. nginx is not reloaded. What is there
/// already stays, unless --force is given; a keys file stays in any case.
///
/// What is done is told on stderr. The key is printed once, on stdout, with lines that use it; with --quiet, alone:
/// key=$(tollgate init --quiet).
///
/// Exit status: 0 if it was done; 2 if the command line is wrong; 3 if it could not be done, and nothing was changed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What kind of engine is behind it: vllm, sglang, tgi, llamacpp, ollama, anthropic; or openai, for whatever speaks
    /// that API.
    #[arg(long, default_value = "openai", value_name = "NAME", value_parser = engine)]
    engine: Engine,
    /// Where the engine is, as http://host:port; repeatable, for several that are alike. By default the engine's own
    /// port on this machine.
    #[arg(long, value_name = "URL", value_parser = backend)]
    backend: Vec<BackendUrl>,
    /// The name by which clients come. With a certificate for it, such as one of certbot's, the server listens on port
    /// 443 of all addresses; without one on this machine alone.
    #[arg(long, value_name = "NAME", value_parser = domain)]
    domain: Option<String>,
    /// Where to listen, as PORT or ADDRESS:PORT; by default 443 with a certificate, and 127.0.0.1:8080 without one.
    #[arg(long, value_name = "ADDRESS", value_parser = listen)]
    listen: Option<Listen>,
    /// The certificate, with those between it and the root; by default certbot's for --domain.
    #[arg(long, value_name = "FILE", requires = "certificate_key", value_hint = ValueHint::FilePath)]
    certificate: Option<String>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "certificate", value_hint = ValueHint::FilePath)]
    certificate_key: Option<String>,
    /// Whose the first key is.
    #[arg(long, default_value = "first", value_name = "NAME", value_parser = values::client)]
    client: String,
    /// The system whose files are meant, such as a tree that is made for another machine.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
    /// The program of nginx; by default that of PATH, or of --root.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    nginx: Option<PathBuf>,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Replace a configuration that is there. The old one is kept beside it.
    #[arg(long)]
    force: bool,
    /// Print the key alone, and tell only what goes wrong.
    #[arg(long)]
    quiet: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let root = match &self.root {
            Some(root) => std::fs::canonicalize(root).map_err(|error| {
                Failure::failed(format!("cannot find {}: {error}", root.display()))
            })?,
            None => PathBuf::from("/"),
        };
        let is_root = rustix::process::geteuid().is_root();
        if self.root.is_none() && !is_root && !self.dry_run {
            return Err(Failure::failed(
                "only root may write nginx's configuration: sudo tollgate init ..., or --dry-run to see what it does",
            ));
        }
        let nginx = self.find_nginx(is_root)?;
        let layout = Layout::of(&root, nginx.as_ref().map(|nginx| &nginx.build))?;
        layout.refuse_others(self.force)?;
        let site = self.site(&root, &layout, nginx.as_ref())?;
        self.apply(&root, is_root, nginx.as_ref(), &layout, &site)
    }

    /// The nginx that is to judge; `None`: there is none that could.
    fn find_nginx(&self, is_root: bool) -> Result<Option<Nginx>, Failure> {
        let found = self.nginx.clone().or_else(|| find(self.root.as_deref()));
        match found {
            // What is in another root runs there alone.
            Some(_) if self.root.is_some() && !is_root => Ok(None),
            Some(path) => Nginx::new(path, self.root.as_deref()).map(Some).map_err(Failure::failed),
            None if self.root.is_some() => Ok(None),
            None => Err(Failure::failed(
                "there is no nginx here: install it (\"apt install nginx\"), or name it with --nginx",
            )),
        }
    }

    fn site(&self, root: &Path, layout: &Layout, nginx: Option<&Nginx>) -> Result<Site, Failure> {
        let backends = match self.backend.is_empty() {
            true => vec![BackendUrl::usual(self.engine)],
            false => self.backend.clone(),
        };
        let certificate = self.certificate(root)?;
        let listen =
            self.listen.clone().unwrap_or_else(|| match (&certificate, backends.as_slice()) {
                (Some(_), _) => Listen::everywhere(443),
                // llama.cpp's own port.
                (None, [only]) if only.is_on_this_machine() && only.port == 8080 => {
                    Listen::local(8088)
                }
                (None, _) => Listen::local(8080),
            });
        if backends
            .iter()
            .any(|backend| backend.is_on_this_machine() && backend.port == listen.port)
        {
            return Err(Failure::usage(format!(
                "the engine has port {} already, name another one with --listen",
                listen.port
            )));
        }
        if backends
            .iter()
            .any(|one| backends.first().is_some_and(|first| one.is_tls != first.is_tls))
        {
            return Err(Failure::usage("of several --backend, all are http or all are https"));
        }
        if self.root.is_none() && layout.is_taken(&listen) {
            return Err(Failure::usage(format!(
                "another program listens at port {} already, name another port with --listen",
                listen.port
            )));
        }
        Ok(Site {
            engine: self.engine,
            backends,
            audit_log: layout.audit_log,
            domain: self.domain.clone(),
            listen,
            certificate,
            has_http2_directive: nginx
                .and_then(|nginx| nginx.build.version)
                .is_some_and(|version| version >= (1, 25, 1)),
            has_ipv6: Path::new("/proc/net/if_inet6").exists(),
        })
    }

    /// The certificate that is named, or certbot's for the domain.
    fn certificate(&self, root: &Path) -> Result<Option<Certificate>, Failure> {
        if let (Some(chain), Some(key)) = (&self.certificate, &self.certificate_key) {
            for path in [chain, key] {
                values::path(path).map_err(Failure::usage)?;
                if !layout::inside(root, path).exists() {
                    return Err(Failure::failed(format!("there is no {path}")));
                }
            }
            return Ok(Some(Certificate { chain: chain.clone(), key: key.clone() }));
        }
        let Some(domain) = &self.domain else { return Ok(None) };
        let folder = format!("/etc/letsencrypt/live/{domain}");
        let (chain, key) = (format!("{folder}/fullchain.pem"), format!("{folder}/privkey.pem"));
        let are_there = [&chain, &key].iter().all(|path| layout::inside(root, path).exists());
        Ok(are_there.then_some(Certificate { chain, key }))
    }

    fn apply(
        &self,
        root: &Path,
        is_root: bool,
        nginx: Option<&Nginx>,
        layout: &Layout,
        site: &Site,
    ) -> Result<Exit, Failure> {
        let text = site.text();
        let has_keys = layout::inside(root, KEYS_FILE).exists();
        if self.dry_run {
            let shown = words::dry_run(layout, &text, has_keys);
            print(shown.as_bytes())?;
            return Ok(Exit::Yes);
        }
        let mut changes = Changes::new(root, is_root, self.quiet);
        let outcome = self.make(&mut changes, nginx, layout, &text, has_keys).and_then(|key| {
            let model = self.root.is_none().then(|| site.model()).flatten();
            let said = match self.quiet {
                true => key.as_ref().map(|key| format!("{key}\n")).unwrap_or_default(),
                false => words::end(site, layout, key.as_deref(), &self.client, model.as_deref()),
            };
            // A key that nobody got is none.
            print(said.as_bytes()).map_err(|failure| {
                Failure::failed(format!("the key could not be printed: {failure}"))
            })
        });
        match outcome {
            Ok(()) => {
                changes.keep();
                Ok(Exit::Yes)
            }
            Err(failure) => {
                let left = changes.undo();
                Err(Failure::failed(match left.as_slice() {
                    [] => format!("{failure}\nall is as it was before"),
                    left => format!("{failure}\nthis could not be put back: {}", left.join(", ")),
                }))
            }
        }
    }

    /// Makes all of it; the new key, if there is one.
    fn make(
        &self,
        changes: &mut Changes<'_>,
        nginx: Option<&Nginx>,
        layout: &Layout,
        text: &str,
        has_keys: bool,
    ) -> Result<Option<String>, Failure> {
        changes.folder(KEYS_FOLDER, KEYS_MODE, layout.account.gid)?;
        let key = match has_keys {
            true => {
                changes.say(&format!("{KEYS_FILE} is there already, and stays as it is"));
                None
            }
            false => {
                let key = new_key()?;
                let entry = Entry {
                    id: keys_file::new_id()?,
                    hash: Some(keys_file::hash_of(key.as_bytes())),
                    client: self.client.clone(),
                    tier: Some(site::FIRST_TIER.to_owned()),
                    created: Some(date_of(now())),
                    description: Some("made by tollgate init".to_owned()),
                    ..Entry::default()
                };
                changes.keys_file(KEYS_FILE, &entry, layout.account.gid)?;
                Some(key)
            }
        };
        if let Some((path, line)) = &layout.load_module {
            changes.file(path, line, self.force)?;
        }
        changes.file(&layout.site, text, self.force)?;
        if let Some((link, target)) = &layout.link {
            changes.link(link, target)?;
        }
        changes.log_file(layout.audit_log, AUDIT_LOG_MODE, layout.account.user.uid)?;
        // nginx makes it when it reads the configuration.
        changes.made_by_nginx(STATE_FOLDER);
        let Some(nginx) = nginx else {
            tell("tollgate: nginx -t was not run: that takes root, and an nginx in --root; run it there");
            return Ok(key);
        };
        changes.say(&format!("{} -t", nginx.program().display()));
        let verdict = nginx.judge(None, None).map_err(Failure::failed)?;
        if !verdict.is_good {
            let text = verdict.text.trim_end();
            return Err(Failure::failed(format!("nginx refuses the configuration:\n{text}")));
        }
        for said in &verdict.said {
            tell(&format!("nginx: {}", crate::escape::shown(&said.text)));
        }
        changes.check_interrupted()?;
        Ok(key)
    }
}
