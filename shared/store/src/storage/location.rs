//! Where a builder finds its dataset: a URL with options, or a storage that is open already.
//!
//! A builder is generic over it, so that options can be given only where a URL is opened.

use super::{Storage, StorageError, open};

/// Where a dataset is, for builders. Implemented by [`DatasetUrl`] and [`Storage`] only.
pub trait Location: sealed::Sealed + Send + 'static {
    /// The dataset's URL, for messages.
    fn url(&self) -> &str;

    /// Opens the storage.
    fn open(self) -> impl Future<Output = Result<Storage, StorageError>> + Send;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::DatasetUrl {}
    impl Sealed for super::Storage {}
}

/// A dataset's URL, and the options of its store.
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
    pub fn new(url: impl Into<String>) -> DatasetUrl {
        let url = url.into();
        DatasetUrl { shown: open::without_secrets(&url), url, options: Vec::new() }
    }

    /// Adds an option of the store, which overrides the environment's.
    pub fn add_option(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.options.push((key.into(), value.into()));
    }
}

impl Location for DatasetUrl {
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
