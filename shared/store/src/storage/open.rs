//! From a URL to a store that is rooted at the dataset.
//!
//! `object_store` ignores option keys that it does not know and asks the cloud's metadata address when it has no keys:
//! here a typing error is an error, and a missing key is said at once. Nothing here sends a request.
//!
//! Rules: what a URL says and nothing would read is refused; the URL that is shown opens what it names, and holds neither
//! user nor password.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use object_store::ObjectStore;
#[cfg(feature = "s3")]
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;

#[cfg(feature = "cloud")]
use super::http::Connector;
#[cfg(feature = "cloud")]
use super::settings::Settings;
use super::{Operation, StorageError, StorageErrorKind};

/// A store, rooted at the dataset.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) url: String,
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same store, more patient: for objects that are put. `None` if it needs no patience.
    pub(super) patient: Option<Arc<dyn ObjectStore>>,
    pub(super) folder: Option<PathBuf>,
}

type Options<'a> = &'a [(String, String)];

/// What the URL means. `environment` is passed in so that tests need not change the process's own.
pub(super) fn open(
    url: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Opened, StorageError> {
    let text = |(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value.into_string().ok()?));
    match url.split_once("://") {
        None => local(url, Path::new(url), options),
        Some(("file", _)) => local(url, &file_path(url)?, options),
        Some(("memory", name)) => memory(url, name, options),
        Some(("s3", rest)) => s3(url, rest, options, environment.filter_map(text)),
        Some(("gs", rest)) => gs(url, rest, options, environment.filter_map(text)),
        Some(("az", rest)) => az(url, rest, options, environment.filter_map(text)),
        Some((scheme, _)) => Err(wrong(url, format!("`{scheme}://` is none of {SCHEMES}"))),
    }
}

const SCHEMES: &str = "s3://, gs://, az://, file://, memory:// and plain paths";

fn wrong(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::new(without_secrets(url), Operation::Open, StorageErrorKind::Configuration, source)
}

/// The URL without what is before the host, which may be a key and its secret.
pub(super) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match place.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => url.to_owned(),
    }
}

fn no_options(url: &str, options: Options<'_>) -> Result<(), StorageError> {
    match options.first() {
        Some((key, _)) => Err(wrong(url, format!("unknown option `{key}`: this kind of store has no options"))),
        None => Ok(()),
    }
}

fn file_path(url: &str) -> Result<PathBuf, StorageError> {
    let parsed = url::Url::parse(url).map_err(|error| wrong(url, error))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong(url, "a `?` or a `#` ends a URL's path; write %3F or %23, or the plain path"));
    }
    parsed.to_file_path().map_err(|()| wrong(url, "a file URL is file:///absolute/path, without a host"))
}

/// Local files, synced with their folders before a put is answered. The folder itself is made by the first put.
fn local(url: &str, path: &Path, options: Options<'_>) -> Result<Opened, StorageError> {
    no_options(url, options)?;
    // Without `//` this would silently be a folder of that name.
    if let Some(scheme) = ["s3", "gs", "az", "file", "memory"].iter().find(|scheme| starts(url, scheme)) {
        return Err(wrong(url, format!("`{scheme}:` needs two slashes after it")));
    }
    let folder = settled(path).map_err(|error| wrong(url, error))?;
    let prefix = Key::from_absolute_path(&folder).map_err(|error| wrong(url, error))?;
    let store = rooted(LocalFileSystem::new().with_fsync(true), prefix);
    // Escaped where it must be, so that the URL can be used as it is shown.
    let shown = url::Url::from_file_path(&folder).map_or_else(|()| folder.display().to_string(), String::from);
    Ok(Opened { url: shown, store, patient: None, folder: Some(folder) })
}

fn starts(url: &str, scheme: &str) -> bool {
    url.strip_prefix(scheme).is_some_and(|rest| rest.starts_with(':') && !rest.starts_with("://"))
}

/// The absolute path, links resolved as far as it exists, so that every process means the same files by it.
fn settled(path: &Path) -> std::io::Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(std::io::Error::other("the path is empty"));
    }
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match (ancestor.canonicalize(), ancestor.file_name()) {
            (Ok(found), _) => return Ok(missing.iter().rev().fold(found, |path, name| path.join(name))),
            (Err(error), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => {
                if let Ok(target) = ancestor.read_link() {
                    let (link, target) = (ancestor.display(), target.display());
                    return Err(std::io::Error::other(format!("{link} is a link to {target}, which does not exist")));
                }
                missing.push(name);
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(path)
}

/// Objects in memory, the same ones for everyone in the process who says the same name, for the life of the process.
fn memory(url: &str, name: &str, options: Options<'_>) -> Result<Opened, StorageError> {
    static STORES: OnceLock<Mutex<HashMap<String, Arc<InMemory>>>> = OnceLock::new();
    no_options(url, options)?;
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Err(wrong(url, "a store in memory has a name: memory://name"));
    }
    let mut stores = STORES.get_or_init(Mutex::default).lock().expect("the registry's lock is held for look-ups only");
    let store = stores.entry(name.to_owned()).or_default().clone();
    Ok(Opened { url: format!("memory://{name}"), store, patient: None, folder: None })
}

fn rooted(store: impl ObjectStore, prefix: Key) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

/// What the three clouds have in common.
#[cfg(feature = "cloud")]
mod cloud {
    use object_store::ClientOptions;

    use super::super::settings::Settings;
    use super::{Key, StorageError, wrong};

    /// A bucket (or container) and the dataset's key in it.
    pub(super) fn bucket_and_prefix<'a>(url: &str, rest: &'a str) -> Result<(&'a str, Key), StorageError> {
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if bucket.is_empty() || !bucket.chars().all(is_plain) {
            let cause = "the URL is scheme://bucket/path, and a bucket's name has letters, digits, `-`, `_` and `.`";
            return Err(wrong(url, cause));
        }
        if path.chars().any(char::is_control) {
            return Err(wrong(url, "the path holds a control character"));
        }
        let prefix = Key::parse(path.trim_matches('/')).map_err(|error| wrong(url, error))?;
        Ok((bucket, prefix))
    }

    /// The URL, as it opens the same dataset again.
    pub(super) fn shown_url(scheme: &str, bucket: &str, prefix: &Key) -> String {
        let slash = if prefix.as_ref().is_empty() { "" } else { "/" };
        format!("{scheme}://{bucket}{slash}{prefix}")
    }

    pub(super) fn client(settings: &Settings) -> Result<ClientOptions, String> {
        let connect = std::time::Duration::from_secs(5);
        let options = ClientOptions::new().with_timeout_disabled().with_connect_timeout(connect);
        Ok(settings.certificates()?.into_iter().fold(options, ClientOptions::with_root_certificate))
    }

    /// A builder with our defaults, then the settings.
    macro_rules! configured {
        ($builder:ty, $settings:expr) => {{
            let connector =
                Connector { read_timeout: $settings.read_timeout(), upload_timeout: $settings.upload_timeout() };
            let builder =
                <$builder>::new().with_client_options(cloud::client($settings)?).with_http_connector(connector);
            $settings.pairs.iter().fold(builder, |builder, (key, value)| {
                let key = key.parse().expect("only keys that are known are collected");
                builder.with_config(key, value)
            })
        }};
    }
    pub(super) use configured;

    /// Two stores of one builder: for the log and its readers, and for objects that are put.
    macro_rules! built {
        ($url:expr, $builder:expr, $settings:expr, $prefix:expr, $shown:expr) => {{
            let store = |retry| {
                let built = $builder.clone().with_retry(retry).build();
                built.map(|store| rooted(store, $prefix.clone())).map_err(|error| wrong($url, error))
            };
            let patient = Some(store($settings.patient_retry())?);
            Ok(Opened { url: $shown, store: store($settings.quick_retry())?, patient, folder: None })
        }};
    }
    pub(super) use built;
}

#[cfg(feature = "s3")]
fn s3(
    url: &str,
    rest: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Opened, StorageError> {
    let (bucket, prefix) = cloud::bucket_and_prefix(url, rest)?;
    let settings = s3_settings(options, environment).map_err(|cause| wrong(url, cause))?;
    let builder = s3_builder(bucket, &settings).map_err(|cause| wrong(url, cause))?;
    cloud::built!(url, builder, settings, prefix, cloud::shown_url("s3", bucket, &prefix))
}

#[cfg(feature = "s3")]
pub(super) fn s3_settings(
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings, String> {
    let key = |name: &str| name.parse::<AmazonS3ConfigKey>().ok();
    let overruled = overruled(options);
    let is_overruled = |name: &str| key(name).is_some_and(|key| overruled.contains(&key));
    Settings::collect("AWS_", environment, options, |name| key(name).is_some(), is_overruled)
}

#[cfg(feature = "s3")]
pub(super) fn s3_builder(bucket: &str, settings: &Settings) -> Result<AmazonS3Builder, String> {
    use AmazonS3ConfigKey::{
        AccessKeyId, ContainerAuthorizationTokenFile, ContainerCredentialsFullUri, ContainerCredentialsRelativeUri,
        Endpoint, MetadataEndpoint, RoleArn, S3Endpoint, SecretAccessKey, SkipSignature, WebIdentityTokenFile,
    };
    let builder = cloud::configured!(AmazonS3Builder, settings);
    let has = |key| builder.get_config_value(&key).is_some_and(|value| !value.is_empty());
    let skips = builder.get_config_value(&SkipSignature).is_some_and(|skip| skip != "false");
    let has_keys = skips || has(AccessKeyId) || has(SecretAccessKey);
    // Half of a setting would make the client ask the machine's metadata address for another identity.
    let pairs = [
        (ContainerCredentialsFullUri, ContainerAuthorizationTokenFile, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        (ContainerAuthorizationTokenFile, ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        (WebIdentityTokenFile, RoleArn, "AWS_ROLE_ARN"),
    ];
    for (one, other, missing) in pairs.into_iter().filter(|_| !has_keys && !has(ContainerCredentialsRelativeUri)) {
        if has(one) && !has(other) {
            return Err(format!(
                "`{}` is set and `{missing}` is not: set both, or neither",
                one.as_ref().to_uppercase()
            ));
        }
    }
    let finds_keys = has_keys
        || has(WebIdentityTokenFile)
        || has(ContainerCredentialsRelativeUri)
        || has(ContainerCredentialsFullUri)
        || has(MetadataEndpoint);
    let endpoint = [S3Endpoint, Endpoint].iter().find_map(|key| builder.get_config_value(key));
    if let (Some(endpoint), false) = (&endpoint, finds_keys) {
        return Err(format!(
            "no credentials for the endpoint {endpoint}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the \
             options of these names, or `skip_signature` = `true` (profiles in files are not read)"
        ));
    }
    let plain_http = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let builder = builder.with_bucket_name(bucket).with_allow_http(plain_http);
    // One object per call: no store needs to know the bulk form.
    Ok(builder.with_config(AmazonS3ConfigKey::DisableBulkDelete, "true"))
}

/// What the environment has no say in because options speak of it: keys go together, and so do the two endpoints.
#[cfg(feature = "s3")]
fn overruled(options: Options<'_>) -> Vec<AmazonS3ConfigKey> {
    use AmazonS3ConfigKey::{AccessKeyId, Endpoint, S3Endpoint, SecretAccessKey, SkipSignature, Token};
    let given: Vec<AmazonS3ConfigKey> =
        options.iter().filter_map(|(name, _)| name.to_ascii_lowercase().parse().ok()).collect();
    let groups: [&[AmazonS3ConfigKey]; 2] =
        [&[AccessKeyId, SecretAccessKey, Token, SkipSignature], &[Endpoint, S3Endpoint]];
    groups.into_iter().filter(|group| group.iter().any(|key| given.contains(key))).flatten().copied().collect()
}

#[cfg(feature = "gcs")]
fn gs(
    url: &str,
    rest: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Opened, StorageError> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    let (bucket, prefix) = cloud::bucket_and_prefix(url, rest)?;
    let is_known = |name: &str| name.parse::<GoogleConfigKey>().is_ok();
    let settings = Settings::collect("GOOGLE_", environment, options, is_known, |_| false);
    let settings = settings.map_err(|cause| wrong(url, cause))?;
    let builder = || -> Result<_, String> { Ok(cloud::configured!(GoogleCloudStorageBuilder, &settings)) };
    let builder = builder().map_err(|cause| wrong(url, cause))?.with_bucket_name(bucket);
    cloud::built!(url, builder, settings, prefix, cloud::shown_url("gs", bucket, &prefix))
}

#[cfg(feature = "azure")]
fn az(
    url: &str,
    rest: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Opened, StorageError> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let (container, prefix) = cloud::bucket_and_prefix(url, rest)?;
    let is_known = |name: &str| name.parse::<AzureConfigKey>().is_ok();
    let settings = Settings::collect("AZURE_", environment, options, is_known, |_| false);
    let settings = settings.map_err(|cause| wrong(url, cause))?;
    let builder = || -> Result<_, String> { Ok(cloud::configured!(MicrosoftAzureBuilder, &settings)) };
    let builder = builder().map_err(|cause| wrong(url, cause))?.with_container_name(container);
    cloud::built!(url, builder, settings, prefix, cloud::shown_url("az", container, &prefix))
}

/// A store that this build leaves out.
macro_rules! left_out {
    ($function:ident, $feature:literal) => {
        #[cfg(not(feature = $feature))]
        fn $function(
            url: &str,
            _rest: &str,
            _options: Options<'_>,
            _environment: impl Iterator<Item = (String, String)>,
        ) -> Result<Opened, StorageError> {
            Err(wrong(url, concat!("this build lacks it: enable the cargo feature `", $feature, "`")))
        }
    };
}
left_out!(s3, "s3");
left_out!(gs, "gcs");
left_out!(az, "azure");
