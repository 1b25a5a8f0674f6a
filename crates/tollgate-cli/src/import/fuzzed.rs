//! What holds for whatever is imported. The target in `fuzz/` tries it with inputs of its own, the test here with those
//! that are kept in `fuzz/seeds`.

use std::path::PathBuf;

use super::source::Secret;
use super::{entries, Arguments, Format};
use crate::keys_file::{self, Keys};

const FORMATS: [Format; 6] =
    [Format::Auto, Format::Map, Format::Env, Format::Plain, Format::Litellm, Format::Kong];

/// The shortest key that is looked for in messages: shorter ones are words of ours by chance.
const MIN_KEY_LEN: usize = 12;

fn arguments(format: Format) -> Arguments {
    Arguments {
        keys: Keys { file: PathBuf::new() },
        source: PathBuf::new(),
        format,
        client: (format == Format::Plain).then(|| "acme".to_owned()),
        tier: None,
        map_variable: None,
        dry_run: true,
        skip_invalid: true,
        drop_restrictions: true,
        json: true,
    }
}

/// Exports of other gateways: they are understood or refused, no key is in what is told, and what is made of them is a
/// keys file.
pub(crate) fn importers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in FORMATS {
        let arguments = arguments(format);
        let Ok((format, mut source)) = arguments.understand(text) else { continue };
        let secrets: Vec<String> = source
            .found
            .iter()
            .filter_map(|found| match &found.secret {
                // A client that is called like its key is told as what it is called.
                Secret::Key(key) if found.client != *key && key.len() >= MIN_KEY_LEN => {
                    Some(key.clone())
                }
                _ => None,
            })
            .collect();
        let named: Vec<String> = source
            .found
            .iter()
            .flat_map(|found| {
                [Some(&found.client), found.tier.as_ref(), found.description.as_ref()]
            })
            .flatten()
            .cloned()
            .collect();
        let Ok(entries) = entries(&mut source, true) else { continue };
        let told = arguments.report(format, &source, &entries);
        for secret in secrets {
            let is_named = named.iter().any(|name| name.contains(&secret));
            assert!(is_named || !told.contains(&secret), "{told}");
        }
        let file = serde_json::json!({"version": 1, "keys": entries}).to_string();
        assert!(keys_file::check(&entries).is_err() || keys_file::parsed(file.as_bytes()).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn what_fuzzing_began_with_is_tried_again() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/importers");
        let mut count = 0;
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            println!("{}", path.display());
            super::importers(&std::fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }
}
