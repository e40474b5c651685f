//! Keys through serde: a [`Key`] is read and written as its value, `"nl"` or `42`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, KeyValue, Root};

impl<T: Root> Serialize for Key<T>
where
    for<'k> <T::Key as KeyValue>::Borrowed<'k>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Root> Deserialize<'de> for Key<T>
where
    T::Key: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = T::Key::deserialize(deserializer)?;
        Ok(Key::new(key.borrow()))
    }
}
