//! Options of a store and variables of the environment, checked where they come in.
//!
//! The store's client takes any text, and panics or sends nonsense when it builds a request of it. Here each value is
//! checked before, and the message names the setting, never its value: it may be a secret.
//!
//! Rules: an option that nothing reads is refused; a variable that nothing reads is left alone, since the environment is
//! shared with other programs; an option overrides the environment's.

use std::time::Duration;

use object_store::{BackoffConfig, RetryConfig};
use url::Url;

/// The settings of one store.
#[derive(Default)]
pub(super) struct Settings {
    /// For the store's client: names in lower case, values that were checked.
    pub(super) pairs: Vec<(String, String)>,
    ca_bundle: Option<String>,
    max_retries: Option<usize>,
    retry_timeout: Option<Duration>,
    upload_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
}

/// A limit on silence, none on a whole read: a large body takes its time.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// In addition, a request that sends a body has this long: 8 MiB at 14 kB/s.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(10);
/// A reader that polls wants an answer, and the log's writer has its own rules.
const QUICK_RETRIES: usize = 3;
/// Long, since a stalled read has cost a whole `read_timeout` when it is tried again, and a large one takes its time.
const QUICK_TIMEOUT: Duration = Duration::from_mins(3);
/// An object that is put is tried about as long as an entry is.
const PATIENT_RETRIES: usize = 40;
const PATIENT_TIMEOUT: Duration = Duration::from_mins(1);

impl Settings {
    /// From the environment's variables that begin with `prefix` (`AWS_`), then the options. `is_known` says whether the
    /// store's client reads a name; `overruled` leaves a variable out because an option speaks of the same.
    pub(super) fn collect(
        prefix: &str,
        environment: impl Iterator<Item = (String, String)>,
        options: &[(String, String)],
        is_known: impl Fn(&str) -> bool,
        overruled: impl Fn(&str) -> bool,
    ) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for (name, value) in environment.filter(|(name, value)| name.starts_with(prefix) && !value.is_empty()) {
            let key = name.to_ascii_lowercase();
            if overruled(&key) {
                continue;
            }
            if is_own(&key, prefix) || is_known(&key) {
                settings.add(prefix, &name, key, value)?;
            }
        }
        for (name, value) in options {
            let key = name.to_ascii_lowercase();
            if !is_own(&key, prefix) && !is_known(&key) {
                return Err(format!("unknown option `{name}`: the documentation has a table of options"));
            }
            if value.is_empty() {
                return Err(format!("the option `{name}` is empty; leave it out"));
            }
            settings.add(prefix, name, key, value.clone())?;
        }
        Ok(settings)
    }

    fn add(&mut self, prefix: &str, name: &str, key: String, value: String) -> Result<(), String> {
        check(name, unprefixed(&key, prefix), &value)?;
        let duration =
            || humantime::parse_duration(&value).map_err(|error| format!("`{name}`: {error}; write 30s, or 2m"));
        match unprefixed(&key, prefix) {
            "ca_bundle" => self.ca_bundle = Some(value),
            "max_retries" => {
                self.max_retries = Some(value.parse().map_err(|_| format!("`{name}` is no number; write 3, or 0"))?);
            }
            "retry_timeout" => self.retry_timeout = Some(duration()?),
            "upload_timeout" => self.upload_timeout = Some(duration()?),
            "read_timeout" => self.read_timeout = Some(duration()?),
            "conditional_put" if value == "disabled" => {
                return Err(format!(
                    "`{name}` is `disabled`: without conditional puts two producers could both write a version; leave it out"
                ));
            }
            _ => self.pairs.push((key, value)),
        }
        Ok(())
    }

    /// The certificates of CAs that are trusted in addition to the system's.
    pub(super) fn certificates(&self) -> Result<Vec<object_store::Certificate>, String> {
        let Some(path) = &self.ca_bundle else { return Ok(Vec::new()) };
        let pem = std::fs::read(path).map_err(|error| format!("the CA bundle {path} cannot be read: {error}"))?;
        let found = object_store::Certificate::from_pem_bundle(&pem);
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(format!("the CA bundle {path} holds no certificate in PEM form")),
            Err(error) => Err(format!("the CA bundle {path} is wrong: {error}")),
        }
    }

    pub(super) fn read_timeout(&self) -> Duration {
        self.read_timeout.unwrap_or(READ_TIMEOUT)
    }

    pub(super) fn upload_timeout(&self) -> Duration {
        self.read_timeout() + self.upload_timeout.unwrap_or(UPLOAD_TIMEOUT)
    }

    /// How often requests of readers and of the log are tried again.
    pub(super) fn quick_retry(&self) -> RetryConfig {
        self.retry(QUICK_RETRIES, QUICK_TIMEOUT)
    }

    /// How often puts of objects are tried again.
    pub(super) fn patient_retry(&self) -> RetryConfig {
        self.retry(PATIENT_RETRIES, PATIENT_TIMEOUT)
    }

    fn retry(&self, retries: usize, within: Duration) -> RetryConfig {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            ..Default::default()
        };
        let max_retries = self.max_retries.unwrap_or(retries);
        RetryConfig { backoff, max_retries, retry_timeout: self.retry_timeout.unwrap_or(within) }
    }
}

const OWN: [&str; 5] = ["ca_bundle", "max_retries", "retry_timeout", "upload_timeout", "read_timeout"];

fn is_own(key: &str, prefix: &str) -> bool {
    OWN.contains(&unprefixed(key, prefix))
}

fn unprefixed<'k>(key: &'k str, prefix: &str) -> &'k str {
    key.strip_prefix(&prefix.to_ascii_lowercase()).unwrap_or(key)
}

/// What any client would stumble over, by the kind of setting.
fn check(name: &str, key: &str, value: &str) -> Result<(), String> {
    if value.ends_with(['\n', '\r']) {
        return Err(format!("`{name}` ends in a line break; write it without"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!("`{name}` holds a control character"));
    }
    if value.trim() != value {
        return Err(format!("`{name}` begins or ends with white space"));
    }
    let is_address = key.ends_with("endpoint") || key.contains("endpoint_url") || key.ends_with("full_uri");
    if is_address {
        return address(value).map_err(|cause| format!("`{name}` {cause}"));
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if key.ends_with("region") && !value.chars().all(is_plain) {
        return Err(format!("`{name}` is no region; write it like eu-central-1"));
    }
    if key.ends_with("relative_uri") && !value.starts_with('/') {
        return Err(format!("`{name}` begins with a slash"));
    }
    Ok(())
}

fn address(value: &str) -> Result<(), String> {
    if !value.contains("://") {
        return Err("needs http:// or https:// at its start".to_owned());
    }
    if !value.is_ascii() || value.contains(char::is_whitespace) {
        return Err("holds a character that no address has".to_owned());
    }
    let parsed = Url::parse(value).map_err(|error| format!("is no address: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("needs http:// or https:// at its start".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("holds a user name or a password; give the keys as options, or in the environment".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("holds a `?` or a `#`; leave it out".to_owned());
    }
    Ok(())
}
