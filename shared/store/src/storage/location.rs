//! Where a builder finds its dataset: a URL with options, or a storage that is open already.
//!
//! A builder is generic over it, so that options can be given only where a URL is opened.

use super::{Storage, StorageError, open};

/// Where a dataset is, for builders. Implemented by [`DatasetUrl`] and [`Storage`] only.
///
/// # Example
/// ```
/// use cenote_consumer::storage::{Location, Storage, StorageError};
///
/// async fn open(place: impl Location) -> Result<Storage, StorageError> {
///     println!("opening {}", place.url());
///     place.open().await
/// }
/// ```
pub trait Location: sealed::Sealed + Send + 'static {
    /// The dataset's URL, for messages.
    ///
    /// [Example](Location#example)
    fn url(&self) -> &str;

    /// Opens the storage.
    ///
    /// [Example](Location#example)
    ///
    /// # Errors
    /// If the URL or an option is refused.
    fn open(self) -> impl Future<Output = Result<Storage, StorageError>> + Send;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::DatasetUrl {}
    impl Sealed for super::Storage {}
}

/// A dataset's URL, and the options of its store.
///
/// # Example
/// ```
/// use cenote_consumer::storage::{DatasetUrl, Location};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut dataset = DatasetUrl::new("memory://media/catalog");
/// assert_eq!(dataset.url(), "memory://media/catalog");
/// let storage = dataset.clone().open().await?;
/// assert_eq!(storage.url(), "memory://media/catalog");
///
/// dataset.add_option("aws_regoin", "eu-west-1");
/// assert!(dataset.open().await.is_err(), "an option that nothing reads is refused");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DatasetUrl {
    url: String,
    /// Without user and password.
    shown: String,
    options: Vec<(String, String)>,
}

impl std::fmt::Debug for DatasetUrl {
    /// Names of options only: their values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let options = self.options.iter().map(|(name, _)| name).collect::<Vec<_>>();
        f.debug_struct("DatasetUrl").field("url", &self.shown).field("options", &options).finish()
    }
}

impl DatasetUrl {
    /// A URL without options: those of the environment count.
    ///
    /// [Example](DatasetUrl#example)
    pub fn new(url: impl Into<String>) -> DatasetUrl {
        let url = url.into();
        DatasetUrl { shown: open::without_secrets(&url), url, options: Vec::new() }
    }

    /// Adds an option of the store, which overrides the environment's.
    ///
    /// [Example](DatasetUrl#example)
    pub fn add_option(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.options.push((key.into(), value.into()));
    }
}

impl Location for DatasetUrl {
    // Messages show no user info.
    #[expect(clippy::misnamed_getters, reason = "what may be shown of it")]
    fn url(&self) -> &str {
        &self.shown
    }

    async fn open(self) -> Result<Storage, StorageError> {
        Storage::open(&self.url, &self.options).await
    }
}

impl Location for Storage {
    fn url(&self) -> &str {
        Storage::url(self)
    }

    async fn open(self) -> Result<Storage, StorageError> {
        Ok(self)
    }
}
