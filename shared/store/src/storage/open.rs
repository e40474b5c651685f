//! From a URL to a store that is rooted at the dataset.
//!
//! `object_store` ignores option keys that it does not know and asks the cloud's metadata address when it has no keys:
//! here a typing error is an error, and a missing key is said at once. Nothing here sends a request.

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

use super::{Operation, StorageError, StorageErrorKind};

/// A store, rooted at the dataset.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) url: String,
    pub(super) store: Arc<dyn ObjectStore>,
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
    StorageError::new(url, Operation::Open, StorageErrorKind::Configuration, source)
}

fn no_options(url: &str, options: Options<'_>) -> Result<(), StorageError> {
    match options.first() {
        Some((key, _)) => Err(wrong(url, format!("unknown option `{key}`: this kind of store has no options"))),
        None => Ok(()),
    }
}

fn file_path(url: &str) -> Result<PathBuf, StorageError> {
    let parsed = url::Url::parse(url).map_err(|error| wrong(url, error))?;
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
    Ok(Opened { url: format!("file://{}", folder.display()), store, folder: Some(folder) })
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
            (Err(error), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => missing.push(name),
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
    Ok(Opened { url: format!("memory://{name}"), store, folder: None })
}

fn rooted(store: impl ObjectStore, prefix: Key) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod cloud {
    use std::time::Duration;

    use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

    use super::{Key, Opened, StorageError, rooted, wrong};

    /// A bucket (or container) and the dataset's key in it.
    pub(super) fn bucket_and_prefix<'a>(url: &str, rest: &'a str) -> Result<(&'a str, Key), StorageError> {
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
            return Err(wrong(url, "the URL is scheme://bucket/path, with plain names"));
        }
        let prefix = Key::parse(path.trim_end_matches('/')).map_err(|error| wrong(url, error))?;
        Ok((bucket, prefix))
    }

    /// The dataset on the store that was built.
    pub(super) fn opened(
        url: &str,
        built: object_store::Result<impl ObjectStore>,
        prefix: Key,
    ) -> Result<Opened, StorageError> {
        let store = rooted(built.map_err(|error| wrong(url, error))?, prefix);
        Ok(Opened { url: url.trim_end_matches('/').to_owned(), store, folder: None })
    }

    /// A limit on silence, none on the whole request: a large body takes its time.
    pub(super) fn client() -> ClientOptions {
        ClientOptions::new()
            .with_timeout_disabled()
            .with_read_timeout(Duration::from_secs(30))
            .with_connect_timeout(Duration::from_secs(5))
    }

    /// A short round of retries: a reader that polls wants an answer, and a writer has its own rules.
    pub(super) fn retry() -> RetryConfig {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            ..Default::default()
        };
        RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(10) }
    }

    /// A builder with our defaults, then what the environment says, then the options.
    macro_rules! configured {
        ($builder:ty, $key:ty, $variables:literal, $url:expr, $options:expr, $environment:expr) => {{
            let mut builder = <$builder>::new().with_client_options(cloud::client()).with_retry(cloud::retry());
            for (name, value) in $environment.filter(|(name, _)| name.starts_with($variables)) {
                // The environment is shared with other programs: what is not for us is left alone.
                if let Ok(key) = name.to_ascii_lowercase().parse::<$key>() {
                    builder = builder.with_config(key, value);
                }
            }
            for (name, value) in $options {
                let key = name.to_ascii_lowercase().parse::<$key>().map_err(|_| {
                    wrong($url, format!("unknown option `{name}`: see object_store's {}", stringify!($key)))
                })?;
                builder = builder.with_config(key, value);
            }
            builder
        }};
    }
    pub(super) use configured;
}

#[cfg(feature = "s3")]
fn s3(
    url: &str,
    rest: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Opened, StorageError> {
    let (bucket, prefix) = cloud::bucket_and_prefix(url, rest)?;
    cloud::opened(url, s3_builder(url, bucket, options, environment)?.build(), prefix)
}

#[cfg(feature = "s3")]
pub(super) fn s3_builder(
    url: &str,
    bucket: &str,
    options: Options<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<AmazonS3Builder, StorageError> {
    let overruled = overruled(options);
    let environment = environment.filter(|(name, _)| {
        let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        key.map_or(true, |key| !overruled.contains(&key))
    });
    let builder = cloud::configured!(AmazonS3Builder, AmazonS3ConfigKey, "AWS_", url, options, environment);
    let has = |key| builder.get_config_value(&key).filter(|value| !value.is_empty());
    let endpoint = has(AmazonS3ConfigKey::S3Endpoint).or_else(|| has(AmazonS3ConfigKey::Endpoint));
    let finds_keys = has(AmazonS3ConfigKey::AccessKeyId).is_some()
        || has(AmazonS3ConfigKey::SkipSignature).is_some_and(|skip| skip != "false")
        || has(AmazonS3ConfigKey::WebIdentityTokenFile).is_some()
        || has(AmazonS3ConfigKey::ContainerCredentialsRelativeUri).is_some()
        || has(AmazonS3ConfigKey::ContainerCredentialsFullUri).is_some()
        || has(AmazonS3ConfigKey::MetadataEndpoint).is_some();
    if let (Some(endpoint), false) = (&endpoint, finds_keys) {
        return Err(wrong(
            url,
            format!(
                "no credentials for the endpoint {endpoint}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the \
                 options of these names, or `skip_signature` = `true` (profiles in files are not read)"
            ),
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
    let builder = cloud::configured!(GoogleCloudStorageBuilder, GoogleConfigKey, "GOOGLE_", url, options, environment);
    cloud::opened(url, builder.with_bucket_name(bucket).build(), prefix)
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
    let builder = cloud::configured!(MicrosoftAzureBuilder, AzureConfigKey, "AZURE_", url, options, environment);
    cloud::opened(url, builder.with_container_name(container).build(), prefix)
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
