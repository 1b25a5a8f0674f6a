//! What is said at the end.

use super::layout::Layout;
use super::site::Site;
use super::{KEYS_FILE, KEYS_FOLDER, KEYS_MODE};
use crate::escape::shown;

/// What would be done, and the text of the configuration.
pub(super) fn dry_run(layout: &Layout, text: &str, has_keys: bool) -> String {
    let mut said = String::new();
    let group = &layout.account.group;
    if has_keys {
        said.push_str(&format!("# {KEYS_FILE} is there already, and would stay as it is\n"));
    } else {
        said.push_str(&format!("install -d -g {group} -m {KEYS_MODE:o} {KEYS_FOLDER}\n"));
        said.push_str(&format!("# {KEYS_FILE}, with a first key\n"));
    }
    if let Some((path, line)) = &layout.load_module {
        said.push_str(&format!("cat >{path} <<'END'\n{line}END\n"));
    }
    said.push_str(&format!("cat >{} <<'END'\n{text}END\n", layout.site));
    if let Some((link, target)) = &layout.link {
        said.push_str(&format!("ln -s {target} {link}\n"));
    }
    said.push_str("nginx -t\n");
    said
}

/// What to do next; with the key, if one was made.
pub(super) fn end(
    site: &Site,
    layout: &Layout,
    key: Option<&str>,
    client: &str,
    model: Option<&str>,
) -> String {
    let url = site.url();
    let first = match key {
        Some(key) => format!(
            "The key of \"{}\". It is not kept, and not shown again:\n\n  {key}\n\n",
            shown(client)
        ),
        None => String::new(),
    };
    let key = key.unwrap_or("KEY");
    let body = format!(
        r#"{{"model":"{}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#,
        model.unwrap_or("MODEL")
    );
    let model = match model {
        Some(_) => "",
        None => " (in place of MODEL, one that it has)",
    };
    let tls = match (&site.certificate, &site.domain, site.listen.is_local()) {
        (Some(_), ..) => String::new(),
        (None, domain, is_local) => {
            let who = match is_local {
                true => "Only this machine reaches it, as there is no certificate",
                false => "WITHOUT TLS: whoever is on the way reads keys and prompts",
            };
            let domain = domain.as_deref().unwrap_or("NAME");
            format!(
                "{who}. With one, the name is known to all:\n  apt install certbot && certbot certonly --webroot -w \
                 /var/www/html -d {domain}\n  tollgate init --force --domain {domain} --engine {}{}\n\n",
                site.engine.as_str(),
                site.backends.iter().map(|backend| format!(" --backend {}", backend.url())).collect::<String>(),
            )
        }
    };
    let (configuration, log) = (&layout.site, site.audit_log);
    format!(
        "{first}Put it into force:\n  systemctl reload nginx || systemctl start nginx\n\n\
         What the engine has:\n  curl -s {url}/v1/models -H 'Authorization: Bearer {key}'\n\n\
         An answer, as it is written{model}:\n  curl -sN {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H \
         'Content-Type: application/json' -d '{body}'\n\n\
         What was written down about it: who, how many tokens, what they cost:\n  tail -n 1 {log}\n  tollgate \
         audit report {log}\n\n\
         Without a key, 401:\n  curl -si {url}/v1/models\n\n\
         Another key, in force within a second:\n  tollgate key create --client NAME --tier free --file {KEYS_FILE}\n\n\
         {tls}The limits are in {configuration}. What may be wrong with it:\n  tollgate doctor\n"
    )
}
