//! Where a builder finds its dataset: a URL with options, or a storage that is open already.
//!
//! A builder is generic over it, so that options can be given only where a URL is opened.

use super::{Storage, StorageError};

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
#[derive(Clone, Debug)]
pub struct DatasetUrl {
    url: String,
    options: Vec<(String, String)>,
}

impl DatasetUrl {
    /// A URL without options: those of the environment count.
    pub fn new(url: impl Into<String>) -> DatasetUrl {
        DatasetUrl { url: url.into(), options: Vec::new() }
    }

    /// Adds an option of the store, which overrides the environment's.
    pub fn add_option(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.options.push((key.into(), value.into()));
    }
}

impl Location for DatasetUrl {
    fn url(&self) -> &str {
        &self.url
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
