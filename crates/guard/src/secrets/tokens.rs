//! Tokens that say by their beginning who has issued them.

use super::kind::{detector, stands_alone, Check};
use super::value::{base62, crc32, is_random, is_specimen};
use crate::detector::{Candidate, Detector};

/// What stands before a token whose form alone doesn't say enough.
const WORDS: &[&str] = &[
    "token",
    "key",
    "secret",
    "password",
    "passwd",
    "credential",
    "auth",
    "bearer",
    "login",
    "access",
    "pat",
    "api",
    "github",
    "npm",
];

/// One that stands alone, and is random behind so many bytes.
fn random(candidate: &Candidate<'_>, lead: usize) -> bool {
    stands_alone(candidate) && candidate.text().get(lead..).is_some_and(is_random)
}

/// The last six characters are the CRC-32 of the 30 before them, to the base of 62. GitHub describes it in "Behind
/// GitHub's new authentication token formats"; npm's tokens have it, too. Others of this form are mistyped, or made up.
fn checked(candidate: &Candidate<'_>, told: bool) -> Option<u8> {
    let text = candidate.text();
    let (lead, sum) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (_, body) = lead.split_at_checked(4)?;
    if !stands_alone(candidate) {
        return None;
    }
    if base62(sum) == Some(crc32(body)) {
        return Some(100);
    }
    // A test's, or a form that is newer than this.
    match is_random(body) {
        true => Some(if told { 85 } else { 70 }),
        false => is_specimen(body).then_some(60),
    }
}

/// One of a form so strict that its specimens count, too: who guards keys tries it with these.
fn strict(candidate: &Candidate<'_>, lead: usize, score: u8) -> Option<u8> {
    let body = candidate.text().get(lead..).filter(|_| stands_alone(candidate))?;
    match is_random(body) {
        true => Some(score),
        false => is_specimen(body).then_some(60),
    }
}

/// The key of AWS has 16 characters of base32; what has other digits is made up, but meant to be one.
fn aws(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
    let is_base32 = !candidate.text().contains(['0', '1', '8', '9']);
    strict(candidate, 4, if is_base32 { 98 } else { 75 })
}

/// A Discord token begins with the number of its user, in base64.
fn discord(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
    use base64::engine::{general_purpose::STANDARD_NO_PAD, Engine};
    let (id, rest) = candidate.text().split_once('.')?;
    let id = STANDARD_NO_PAD.decode(id).ok()?;
    let is_number = (17..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit);
    (is_number && stands_alone(candidate) && is_random(rest)).then_some(98)
}

/// A key of OpenAI's that has its mark is surely one.
fn openai(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
    let text = candidate.text();
    if !random(candidate, 3) {
        return None;
    }
    let is_marked = text.contains("T3BlbkFJ")
        || text.starts_with("sk-proj-")
        || text.starts_with("sk-svcacct-");
    let is_mixed = super::value::is_mixed(text);
    match is_marked {
        true => Some(98),
        false => is_mixed.then_some(75),
    }
}

/// A token: its kind, its label, its form, how many bytes lead to what is random, and its score.
macro_rules! token {
    ($name:literal, $label:literal, $pattern:expr, $lead:expr, $score:expr) => {
        ($name, $label, $pattern, |candidate, _| random(candidate, $lead).then_some($score))
    };
}

/// Each with its source: the issuer's documentation, or where that is silent, the forms that are known of secret
/// scanning at GitHub and GitLab.
const TOKENS: &[(&str, &str, &str, Check)] = &[
    // Tollgate: what `tollgate key create` makes. 43 characters of base64url are 32 bytes.
    token!("tollgate_key", "TOLLGATE_KEY", r"tg_[A-Za-z0-9_-]{43}", 3, 100),
    // AWS, "IAM identifiers": the prefix, then base32.
    ("aws_access_key", "AWS_ACCESS_KEY", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}", aws),
    // Google Cloud: API keys, client secrets, access tokens of OAuth 2.
    token!("google_api_key", "GOOGLE_API_KEY", r"AIza[A-Za-z0-9_-]{35}", 4, 98),
    token!("google_client_secret", "GOOGLE_CLIENT_SECRET", r"GOCSPX-[A-Za-z0-9_-]{28}", 7, 98),
    token!("google_oauth_token", "GOOGLE_TOKEN", r"ya29\.[A-Za-z0-9_-]{20,250}", 5, 95),
    // Microsoft Entra: client secrets have their mark at the fourth place; Azure DevOps.
    token!(
        "azure_client_secret",
        "AZURE_SECRET",
        r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
        6,
        95
    ),
    token!("azure_devops_token", "AZURE_TOKEN", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}", 0, 98),
    // GitHub, "About authentication to GitHub".
    ("github_token", "GITHUB_TOKEN", r"gh[pousr]_[A-Za-z0-9]{36}", checked),
    token!(
        "github_fine_grained",
        "GITHUB_TOKEN",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        11,
        100
    ),
    // GitLab, "Token overview": prefixes; newer ones are routable, with a length and a checksum.
    token!(
        "gitlab_token",
        "GITLAB_TOKEN",
        r"gl(?:pat|dt|rt|ft|soat|imt|cbt|ptt|agent|ffct|oas)-[A-Za-z0-9_-]{20,200}(?:\.[0-9a-z]{2}[0-9a-z]{7})?",
        6,
        95
    ),
    // Slack, "Token types", and incoming webhooks.
    (
        "slack_token",
        "SLACK_TOKEN",
        r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9]{1,14}-[A-Za-z0-9-]{10,200}",
        |candidate, _| strict(candidate, 5, 95),
    ),
    token!(
        "slack_app_token",
        "SLACK_TOKEN",
        r"xapp-[0-9]-[A-Z0-9]{8,14}-[0-9]{10,14}-[a-f0-9]{40,80}",
        7,
        98
    ),
    token!(
        "slack_webhook",
        "SLACK_WEBHOOK",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{8,14}/[A-Z0-9]{8,20}/[A-Za-z0-9]{20,32}",
        33,
        98
    ),
    // Stripe, "API keys": secret and restricted; publishable ones are public.
    token!("stripe_key", "STRIPE_KEY", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,200}", 8, 98),
    token!("stripe_webhook_secret", "STRIPE_SECRET", r"whsec_[A-Za-z0-9+/]{32,64}", 6, 95),
    // Models: OpenAI, Anthropic, Hugging Face, and others that have a prefix.
    (
        "openai_key",
        "OPENAI_KEY",
        r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,220}|[A-Za-z0-9]{20,64})",
        openai,
    ),
    token!(
        "anthropic_key",
        "ANTHROPIC_KEY",
        r"sk-ant-[a-z]{2,6}[0-9]{2}-[A-Za-z0-9_-]{24,128}",
        13,
        98
    ),
    token!("huggingface_token", "HUGGINGFACE_TOKEN", r"(?:hf_|api_org_)[A-Za-z0-9]{30,40}", 3, 95),
    token!("openrouter_key", "OPENROUTER_KEY", r"sk-or-v1-[0-9a-f]{64}", 9, 98),
    token!("groq_key", "GROQ_KEY", r"gsk_[A-Za-z0-9]{52}", 4, 98),
    token!("xai_key", "XAI_KEY", r"xai-[A-Za-z0-9]{80}", 4, 98),
    token!("replicate_token", "REPLICATE_TOKEN", r"r8_[A-Za-z0-9]{37}", 3, 95),
    token!("perplexity_key", "PERPLEXITY_KEY", r"pplx-[A-Za-z0-9]{40,64}", 5, 95),
    // Twilio: API keys, which have the form of account numbers; SendGrid.
    ("twilio_key", "TWILIO_KEY", r"SK[0-9a-f]{32}", |candidate, _| {
        random(candidate, 2).then_some(85)
    }),
    token!("sendgrid_key", "SENDGRID_KEY", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", 3, 98),
    token!("mailgun_key", "MAILGUN_KEY", r"key-[0-9a-f]{32}", 4, 80),
    token!("mailchimp_key", "MAILCHIMP_KEY", r"[0-9a-f]{32}-us[0-9]{1,2}", 0, 90),
    // Packages and images.
    ("npm_token", "NPM_TOKEN", r"npm_[A-Za-z0-9]{36}", checked),
    token!(
        "pypi_token",
        "PYPI_TOKEN",
        r"pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBpLm9yZw)[A-Za-z0-9_-]{50,220}",
        20,
        98
    ),
    token!("docker_token", "DOCKER_TOKEN", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,36}", 9, 98),
    token!("rubygems_key", "RUBYGEMS_KEY", r"rubygems_[0-9a-f]{48}", 9, 98),
    token!("crates_io_token", "CRATES_IO_TOKEN", r"cio[A-Za-z0-9]{32}", 3, 80),
    // Bots: Telegram, "Bot API"; Discord, "Reference".
    token!("telegram_token", "TELEGRAM_TOKEN", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", 11, 98),
    (
        "discord_token",
        "DISCORD_TOKEN",
        r"[MNO][A-Za-z0-9]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}",
        discord,
    ),
    token!(
        "discord_webhook",
        "DISCORD_WEBHOOK",
        r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/(?:v[0-9]{1,2}/)?webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,80}",
        50,
        98
    ),
    // Clouds and services.
    token!("digitalocean_token", "DIGITALOCEAN_TOKEN", r"do[opr]_v1_[0-9a-f]{64}", 7, 98),
    token!("databricks_token", "DATABRICKS_TOKEN", r"dapi[0-9a-f]{32}(?:-[0-9])?", 4, 90),
    token!("shopify_token", "SHOPIFY_TOKEN", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", 6, 98),
    token!("square_token", "SQUARE_TOKEN", r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}", 7, 95),
    token!(
        "grafana_token",
        "GRAFANA_TOKEN",
        r"gl(?:sa_[A-Za-z0-9]{32}_[0-9a-f]{8}|c_[A-Za-z0-9+/]{32,200})",
        5,
        95
    ),
    token!("vault_token", "VAULT_TOKEN", r"hv[sbr]\.[A-Za-z0-9_-]{24,200}", 4, 95),
    token!(
        "terraform_token",
        "TERRAFORM_TOKEN",
        r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}",
        23,
        98
    ),
    token!("newrelic_key", "NEWRELIC_KEY", r"NRAK-[A-Z0-9]{27}", 5, 95),
    token!("sentry_token", "SENTRY_TOKEN", r"sntry[su]_[A-Za-z0-9+/=_]{40,220}", 7, 95),
    token!("atlassian_token", "ATLASSIAN_TOKEN", r"ATATT3[A-Za-z0-9_=-]{100,200}", 6, 98),
    token!("airtable_token", "AIRTABLE_TOKEN", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", 3, 98),
    token!("linear_key", "LINEAR_KEY", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}", 8, 98),
    token!(
        "notion_token",
        "NOTION_TOKEN",
        r"(?:ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43})",
        4,
        95
    ),
    token!("postman_key", "POSTMAN_KEY", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", 5, 98),
    token!(
        "supabase_key",
        "SUPABASE_KEY",
        r"sb(?:p_[0-9a-f]{40}|_secret_[A-Za-z0-9_-]{31})",
        4,
        95
    ),
    token!(
        "doppler_token",
        "DOPPLER_TOKEN",
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9.-]{40,60}",
        6,
        95
    ),
    token!(
        "age_key",
        "AGE_KEY",
        r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        16,
        100
    ),
];

/// The detectors of all of them.
pub(super) fn detectors() -> Vec<Detector> {
    TOKENS
        .iter()
        .map(|&(name, label, pattern, check)| detector(name, label, pattern, WORDS, check))
        .collect()
}
