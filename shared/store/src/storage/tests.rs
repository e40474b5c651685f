use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn refused(url: &str, options: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let environment = pairs(environment).into_iter().map(|(key, value)| (key.into(), value.into()));
    let error = open::open(url, &pairs(options), environment).expect_err("this must not open");
    assert_eq!(error.kind, StorageErrorKind::Configuration);
    assert!(error.to_string().contains(url), "{error} does not name {url}");
    error.source.to_string()
}

#[test]
fn wrong_urls_are_refused_with_the_reason() {
    assert!(refused("http://host/x", &[], &[]).contains("s3://"));
    assert!(refused("memory://", &[], &[]).contains("name"));
    assert!(refused("file://host/x", &[], &[]).contains("without a host"));
    assert!(refused("s3:/bucket/x", &[], &[]).contains("two slashes"));
    assert!(refused("s3:bucket/x", &[], &[]).contains("two slashes"));
    assert!(refused("s3://", &[], &[]).contains("bucket"));
    assert!(refused("", &[], &[]).contains("empty"));
    #[cfg(not(feature = "gcs"))]
    assert!(refused("gs://bucket/x", &[], &[]).contains("`gcs`"));
    #[cfg(not(feature = "azure"))]
    assert!(refused("az://container/x", &[], &[]).contains("`azure`"));
}

#[test]
fn unknown_options_are_refused() {
    assert!(refused("memory://x", &[("region", "eu")], &[]).contains("`region`"));
    assert!(refused("/tmp/x", &[("fsync", "no")], &[]).contains("`fsync`"));
    assert!(refused("s3://bucket/x", &[("acces_key_id", "x")], &[]).contains("`acces_key_id`"));
}

#[test]
fn an_endpoint_without_credentials_says_so() {
    let said = refused("s3://bucket/x", &[("endpoint", "http://localhost:9000")], &[]);
    assert!(said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    let said = refused("s3://bucket/x", &[], &[("AWS_ENDPOINT_URL", "http://localhost:9000")]);
    assert!(said.contains("localhost:9000"), "{said}");
}

#[cfg(feature = "s3")]
#[test]
fn the_environment_counts_and_options_override_it() {
    use object_store::aws::AmazonS3ConfigKey as Key;
    let environment = [
        ("AWS_ENDPOINT_URL_S3", "http://environment"),
        ("AWS_ACCESS_KEY_ID", "environment"),
        ("AWS_SECRET_ACCESS_KEY", "environment"),
        ("AWS_SESSION_TOKEN", "environment"),
        ("AWS_REGION", "environment"),
        ("AWS_NOT_FOR_US", "environment"),
    ];
    let found = |options: &[(&str, &str)]| {
        let builder =
            open::s3_builder("s3://b", "b", &pairs(options), pairs(&environment).into_iter()).expect("it is complete");
        [Key::S3Endpoint, Key::Endpoint, Key::AccessKeyId, Key::Token, Key::Region]
            .map(|key| builder.get_config_value(&key).unwrap_or_default())
    };
    assert_eq!(found(&[]), ["http://environment", "", "environment", "environment", "environment"]);
    assert_eq!(found(&[("Endpoint", "https://o")]), ["", "https://o", "environment", "environment", "environment"]);
    // A token belongs to its keys.
    let keys = [("access_key_id", "o"), ("secret_access_key", "o")];
    assert_eq!(found(&keys), ["http://environment", "", "o", "", "environment"]);
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_machine_without_credentials_gets_an_error() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = pairs(&[("metadata_endpoint", &format!("http://{refused}"))]);
    let opened = open::open("s3://bucket/x", &options, std::iter::empty()).unwrap();
    let error = Storage::new(opened.url, opened.store).get("hint").await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Denied, "{error}: {}", error.source);
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[tokio::test]
async fn memory_is_shared_by_name() {
    let one = Storage::open("memory://shared-by-name", &[]).await.unwrap();
    let two = Storage::open("memory://shared-by-name/", &[]).await.unwrap();
    let other = Storage::open("memory://another-name", &[]).await.unwrap();
    one.put("hint", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(two.get("hint").await.unwrap().unwrap(), "x");
    assert_eq!(other.get("hint").await.unwrap(), None);
    assert_eq!(one.url(), "memory://shared-by-name");
    assert_eq!(one.local_folder(), None);
}

#[tokio::test]
async fn a_local_folder_is_made_by_the_first_write() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("ein Ordner/ü %41 #1/data");
    let storage = Storage::open(folder.to_str().unwrap(), &[]).await.unwrap();
    assert_eq!(storage.get("log/1").await.unwrap(), None);
    assert_eq!(storage.list("log", None).await.unwrap(), []);
    storage.delete("log/1").await.unwrap();
    assert!(!folder.exists(), "reading must not make folders");
    assert_eq!(storage.create("log/1", Bytes::from_static(b"x")).await.unwrap(), Created::Yes);
    assert!(folder.join("log/1").is_file());
    assert_eq!(storage.local_folder().unwrap(), folder.canonicalize().unwrap());
    let again = Storage::open(url::Url::from_file_path(&folder).unwrap().as_str(), &[]).await.unwrap();
    assert_eq!(again.get("log/1").await.unwrap().unwrap(), "x");
    assert_eq!(again.list("log", None).await.unwrap(), [Listed { name: "log/1".into(), size: 1 }]);
}

#[tokio::test]
async fn staged_puts_are_not_listed() {
    let base = tempfile::tempdir().unwrap();
    let storage = Storage::open(base.path().to_str().unwrap(), &[]).await.unwrap();
    storage.put("log/1", Bytes::from_static(b"x")).await.unwrap();
    std::fs::write(base.path().join("log/2#1"), b"half").unwrap();
    assert_eq!(storage.list("log", None).await.unwrap(), [Listed { name: "log/1".into(), size: 1 }]);
}

#[tokio::test]
async fn hostile_names_are_refused() {
    let storage = Storage::new("memory://x", Arc::new(object_store::memory::InMemory::new()));
    for name in ["snapshots/../../secret", "a//b", "./a", "a\u{0}b"] {
        assert!(storage.get(name).await.is_err(), "{name:?} was read");
        assert!(storage.put(name, Bytes::new()).await.is_err(), "{name:?} was written");
    }
}

#[tokio::test]
async fn a_larger_object_is_refused_by_its_size() {
    let storage = Storage::new("memory://x", Arc::new(object_store::memory::InMemory::new()));
    storage.put("hint", Bytes::from(vec![0; 100])).await.unwrap();
    assert_eq!(storage.get_bounded("hint", 100).await.unwrap().unwrap().len(), 100);
    let error = storage.get_bounded("hint", 99).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::TooLarge);
    assert!(error.source.to_string().contains("100 bytes"), "{}", error.source);
}

#[test]
fn parts_are_equal_but_the_last() {
    let sizes = |lengths: &[usize]| {
        let pieces = lengths.iter().map(|length| Bytes::from(vec![1; *length])).collect();
        in_parts_of(pieces, 4).iter().map(PutPayload::content_length).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[3, 3, 3]), [4, 4, 1]);
    assert_eq!(sizes(&[9, 0, 3]), [4, 4, 4]);
    assert_eq!(sizes(&[1]), [1]);
    assert!(sizes(&[0]).is_empty());
}
