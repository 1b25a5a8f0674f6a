//! Credentials, drawn at random by their forms: written without the patterns that find them.

use std::fmt::Write as _;

pub(crate) const DIGITS: &str = "0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub(crate) const UPPER_DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
pub(crate) const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(crate) const BECH32: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
pub(crate) const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(crate) const BASE64URL: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Numbers that are the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(crate) fn of(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }

    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// The last six of GitHub's and npm's, by a table, as zlib does it.
pub(crate) fn with_checksum(lead: &str, body: &str) -> String {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| {
            (0..8)
                .fold(byte, |crc, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 })
        })
        .collect();
    let mut sum = !body.bytes().fold(!0_u32, |crc, byte| {
        table[usize::try_from((crc ^ u32::from(byte)) & 0xff).unwrap()] ^ (crc >> 8)
    });
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(BASE62.as_bytes()[usize::try_from(sum % 62).unwrap()]);
        sum /= 62;
    }
    digits.reverse();
    format!("{lead}{body}{}", String::from_utf8(digits).unwrap())
}

/// Base64url without padding, bit by bit.
pub(crate) fn base64url(text: &str) -> String {
    let bits: Vec<u8> =
        text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(6)
        .map(|six| {
            let value =
                six.iter().fold(0, |value, bit| value << 1 | usize::from(*bit)) << (6 - six.len());
            char::from(BASE64URL.as_bytes()[value])
        })
        .collect()
}

/// What leads to the value in a text, the value, and what follows; of a kind.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn credential(kind: &str, r: &mut Random) -> (String, String) {
    let lead = |lead: &str, value: String| (lead.to_owned(), value);
    let alone = |value: String| (String::new(), value);
    match kind {
        "private_key" => {
            let name = r.one(&["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "]);
            let feed = r.one(&["\n", "\\n", "\r\n"]);
            let mut block = format!("-----BEGIN {name}PRIVATE KEY-----{feed}");
            for _ in 0..r.below(30) {
                write!(block, "{}{feed}", r.of(BASE64, 64)).unwrap();
            }
            alone(format!("{block}{}=={feed}-----END {name}PRIVATE KEY-----", r.of(BASE64, 22)))
        }
        "private_key_putty" => alone(format!(
            "PuTTY-User-Key-File-{}: ssh-rsa\nEncryption: none\nPublic-Lines: 1\n{}",
            r.one(&["2", "3"]),
            r.of(BASE64, 64)
        )),
        "jwt" => {
            let header = base64url(&format!(
                "{{\"alg\":\"{}\",\"typ\":\"JWT\"}}",
                r.one(&["HS256", "RS256", "ES256"])
            ));
            let claims =
                base64url(&format!("{{\"sub\":\"{}\",\"iat\":1500000000}}", r.of(DIGITS, 10)));
            let size = r.below(300) + 43;
            alone(format!("{header}.{claims}.{}", r.of(BASE64URL, size)))
        }
        "tollgate_key" => alone(format!("tg_{}", r.of(BASE64URL, 43))),
        "aws_access_key" => alone(format!("{}{}", r.one(&["AKIA", "ASIA"]), r.of(BASE32, 16))),
        "aws_secret_key" => lead(
            r.one(&[
                "aws_secret_access_key = ",
                "AWS_SECRET_ACCESS_KEY=",
                "\"SecretAccessKey\": \"",
                "secret_key: ",
            ]),
            r.of(BASE64, 40),
        ),
        "google_api_key" => alone(format!("AIza{}", r.of(BASE64URL, 35))),
        "google_client_secret" => alone(format!("GOCSPX-{}", r.of(BASE64URL, 28))),
        "google_oauth_token" => alone(format!("ya29.{}", r.of(BASE64URL, 60))),
        "azure_client_secret" => alone(format!("{}8Q~{}", r.of(BASE62, 3), r.of(BASE62, 34))),
        "azure_devops_token" => alone(format!("{}AZDO{}", r.of(BASE62, 76), r.of(BASE62, 4))),
        "azure_storage_key" => alone(format!("AccountKey={}==", r.of(BASE64, 86))),
        "github_token" => {
            let body = r.of(BASE62, 30);
            alone(with_checksum(r.one(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]), &body))
        }
        "github_fine_grained" => {
            alone(format!("github_pat_{}_{}", r.of(BASE62, 22), r.of(BASE62, 59)))
        }
        "npm_token" => {
            let body = r.of(BASE62, 30);
            alone(with_checksum("npm_", &body))
        }
        "gitlab_token" => {
            alone(format!("{}-{}", r.one(&["glpat", "glrt", "gldt", "glptt"]), r.of(BASE62, 20)))
        }
        "slack_token" => alone(format!(
            "{}-{}-{}-{}",
            r.one(&["xoxb", "xoxp", "xoxa"]),
            r.of(DIGITS, 12),
            r.of(DIGITS, 13),
            r.of(BASE62, 24)
        )),
        "slack_app_token" => alone(format!(
            "xapp-1-A{}-{}-{}",
            r.of(UPPER_DIGITS, 10),
            r.of(DIGITS, 13),
            r.of(HEX, 64)
        )),
        "slack_webhook" => alone(format!(
            "https://hooks.slack.com/services/T{}/B{}/{}",
            r.of(UPPER_DIGITS, 10),
            r.of(UPPER_DIGITS, 10),
            r.of(BASE62, 24)
        )),
        "stripe_key" => {
            alone(format!("{}{}", r.one(&["sk_live_", "rk_live_", "sk_test_"]), r.of(BASE62, 24)))
        }
        "stripe_webhook_secret" => alone(format!("whsec_{}", r.of(BASE62, 32))),
        "openai_key" => match r.below(3) {
            0 => alone(format!("sk-{}T3BlbkFJ{}", r.of(BASE62, 20), r.of(BASE62, 20))),
            1 => alone(format!("sk-proj-{}T3BlbkFJ{}", r.of(BASE64URL, 74), r.of(BASE62, 74))),
            _ => alone(format!("sk-{}", r.of(BASE62, 48))),
        },
        "anthropic_key" => alone(format!(
            "sk-ant-{}-{}AA",
            r.one(&["api03", "admin01", "oat01"]),
            r.of(BASE64URL, 93)
        )),
        "huggingface_token" => alone(format!("hf_{}", r.of(LETTERS, 34))),
        "openrouter_key" => alone(format!("sk-or-v1-{}", r.of(HEX, 64))),
        "groq_key" => alone(format!("gsk_{}", r.of(BASE62, 52))),
        "xai_key" => alone(format!("xai-{}", r.of(BASE62, 80))),
        "replicate_token" => alone(format!("r8_{}", r.of(BASE62, 37))),
        "perplexity_key" => alone(format!("pplx-{}", r.of(BASE62, 48))),
        "twilio_key" => alone(format!("SK{}", r.of(HEX, 32))),
        "sendgrid_key" => alone(format!("SG.{}.{}", r.of(BASE62, 22), r.of(BASE62, 43))),
        "mailgun_key" => alone(format!("key-{}", r.of(HEX, 32))),
        "mailchimp_key" => alone(format!("{}-us{}", r.of(HEX, 32), r.below(20) + 1)),
        "pypi_token" => alone(format!("pypi-AgEIcHlwaS5vcmc{}", r.of(BASE64URL, 150))),
        "docker_token" => alone(format!("dckr_pat_{}", r.of(BASE62, 27))),
        "rubygems_key" => alone(format!("rubygems_{}", r.of(HEX, 48))),
        "crates_io_token" => alone(format!("cio{}", r.of(BASE62, 32))),
        "telegram_token" => alone(format!("1{}:AA{}", r.of(DIGITS, 9), r.of(BASE62, 33))),
        "discord_token" => {
            let id = base64url(&format!("1{}", r.of(DIGITS, 17)));
            alone(format!("{id}.{}.{}", r.of(BASE62, 6), r.of(BASE62, 38)))
        }
        "discord_webhook" => alone(format!(
            "https://discord.com/api/webhooks/1{}/{}",
            r.of(DIGITS, 17),
            r.of(BASE62, 68)
        )),
        "digitalocean_token" => alone(format!("dop_v1_{}", r.of(HEX, 64))),
        "databricks_token" => alone(format!("dapi{}", r.of(HEX, 32))),
        "shopify_token" => {
            alone(format!("{}{}", r.one(&["shpat_", "shpss_", "shpca_"]), r.of(HEX, 32)))
        }
        "square_token" => alone(format!("sq0atp-{}", r.of(BASE62, 22))),
        "grafana_token" => alone(format!("glsa_{}_{}", r.of(BASE62, 32), r.of(HEX, 8))),
        "vault_token" => alone(format!("hvs.{}", r.of(BASE62, 90))),
        "terraform_token" => alone(format!("{}.atlasv1.{}", r.of(BASE62, 14), r.of(BASE62, 67))),
        "newrelic_key" => alone(format!("NRAK-{}", r.of(UPPER_DIGITS, 27))),
        "sentry_token" => alone(format!("sntryu_{}", r.of(HEX, 64))),
        "atlassian_token" => {
            alone(format!("ATATT3xFfGF0{}={}", r.of(BASE62, 170), r.of(UPPER_DIGITS, 8)))
        }
        "airtable_token" => alone(format!("pat{}.{}", r.of(BASE62, 14), r.of(HEX, 64))),
        "linear_key" => alone(format!("lin_api_{}", r.of(BASE62, 40))),
        "notion_token" => alone(format!("ntn_{}", r.of(BASE62, 46))),
        "postman_key" => alone(format!("PMAK-{}-{}", r.of(HEX, 24), r.of(HEX, 34))),
        "supabase_key" => alone(format!("sbp_{}", r.of(HEX, 40))),
        "doppler_token" => alone(format!("dp.pt.{}", r.of(BASE62, 43))),
        "age_key" => alone(format!("AGE-SECRET-KEY-1{}", r.of(BECH32, 58))),
        "connection_string" => alone(format!(
            "{}://{}:{}@db{}.internal:5432",
            r.one(&[
                "postgres",
                "postgresql",
                "mysql",
                "mongodb+srv",
                "redis",
                "amqps",
                "postgresql+psycopg2"
            ]),
            r.one(&["app", "root", "svc-web"]),
            r.of(BASE62, 12),
            r.below(9)
        )),
        "basic_auth_url" => alone(format!(
            "{}://{}:{}@git{}.internal",
            r.one(&["https", "http", "ftp", "ssh"]),
            r.one(&["deploy", "ci", "ann.b"]),
            r.of(BASE62, 10),
            r.below(9)
        )),
        "connection_password" => {
            lead("Server=db1.internal;Database=shop;User Id=app;Password=", r.of(BASE62, 14))
        }
        "basic_auth" => {
            let value = base64url(&format!("{}:{}", r.one(&["ann", "root"]), r.of(BASE62, 12)));
            // Of this length there is no padding, and none of the two letters that differ.
            lead(
                r.one(&["Authorization: Basic ", "\"authorization\": \"basic "]),
                value.replace(['-', '_'], "a"),
            )
        }
        "bearer_token" => {
            lead(r.one(&["Authorization: Bearer ", "'authorization': 'bearer "]), r.of(BASE62, 40))
        }
        "generic_secret" => {
            let value = r.of(BASE62, 20);
            let value = if value.bytes().filter(u8::is_ascii_digit).count() < 2 {
                format!("{value}73")
            } else {
                value
            };
            lead(
                r.one(&[
                    "api_key = \"",
                    "\"client_secret\": \"",
                    "SECRET_KEY='",
                    "auth.token = \"",
                    "password: '",
                ]),
                value,
            )
        }
        other => panic!("no generator of {other}"),
    }
}
