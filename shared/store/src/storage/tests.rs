use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn refused(url: &str, options: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let environment = pairs(environment).into_iter().map(|(key, value)| (key.into(), value.into()));
    let error = open::open(url, &pairs(options), environment).expect_err("this must not open");
    assert_eq!(error.kind, StorageErrorKind::Configuration);
    assert!(error.to_string().contains(url), "{error} does not name {url}");
    error.cause
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

/// What a client would panic at, or drop, is refused where it comes in.
#[cfg(feature = "s3")]
#[test]
fn settings_are_checked_where_they_come_in() {
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let with = |more: &[(&'static str, &'static str)]| [&keys[..], more].concat();
    let said = |more: &[(&'static str, &'static str)]| refused("s3://bucket/x", &[], &with(more));
    for endpoint in ["minio:9000", "localhost", "ftp://host", "http://host:99999", "http://", "http://a b", "http://ü"]
    {
        let said = said(&[("AWS_ENDPOINT", endpoint)]);
        assert!(said.contains("`AWS_ENDPOINT`"), "{endpoint}: {said}");
        refused("s3://bucket/x", &[("endpoint", endpoint)], &keys);
    }
    assert!(said(&[("AWS_REGION", "eu central")]).contains("eu-central-1"));
    assert!(said(&[("AWS_CONDITIONAL_PUT", "disabled")]).contains("two producers"));
    assert!(said(&[("AWS_READ_TIMEOUT", "soon")]).contains("30s"));
    assert!(said(&[("AWS_MAX_RETRIES", "many")]).contains("no number"));
    assert!(said(&[("AWS_CA_BUNDLE", "/no/such/file")]).contains("/no/such/file"));
    assert!(said(&[("AWS_CA_BUNDLE", "/dev/null")]).contains("no certificate"));
    for (value, cause) in [("key\n", "ends in a line break"), ("k\u{1b}ey", "control"), (" key", "white space")] {
        let said = refused("s3://bucket/x", &[], &[("AWS_ACCESS_KEY_ID", value), ("AWS_SECRET_ACCESS_KEY", "s")]);
        assert!(said.contains("`AWS_ACCESS_KEY_ID`") && said.contains(cause) && !said.contains(value), "{said}");
    }
    for url in ["s3://my bucket/x", "s3://bucket:80/x", "s3://büro/x", "s3://b?x/y"] {
        assert!(refused(url, &[], &keys).contains("a bucket's name has letters"), "{url}");
    }
    // An empty variable is as good as none.
    let environment = with(&[("AWS_ENDPOINT", "")]).into_iter().map(|(key, value)| (key.into(), value.into()));
    open::open("s3://bucket/x", &[], environment).expect("nothing is wrong");
}

#[cfg(feature = "s3")]
#[test]
fn half_configured_credentials_do_not_fall_through_to_the_metadata_address() {
    let full_uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/role");
    let cases = [
        (full_uri, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        (("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"), "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        (("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), "AWS_ROLE_ARN"),
        (("AWS_ACCESS_KEY_ID", "id"), "ecret"),
        (("AWS_SECRET_ACCESS_KEY", "secret"), "ey"),
    ];
    for (set, missing) in cases {
        let said = refused("s3://bucket/x", &[], &[set]);
        assert!(said.contains(missing), "{set:?}: {said}");
    }
}

#[test]
fn secrets_are_in_no_message_and_no_debug_form() {
    const SECRET: &str = "hunter2";
    let url = "s3://AKIA:hunter2@bucket/x";
    let options = pairs(&[("aws_endpoint", "http://user:hunter2@host"), ("aws_secret_access_key", SECRET)]);
    let mut location = DatasetUrl::new(url);
    location.add_option("aws_secret_access_key", SECRET);
    let storage = Storage::new(url, Arc::new(object_store::memory::InMemory::new()));
    let shown = [
        format!("{:?}", open::open(url, &[], std::iter::empty()).expect_err("a bucket has no user")),
        open::open(url, &[], std::iter::empty()).expect_err("a bucket has no user").to_string(),
        format!("{:?}", open::open("s3://bucket/x", &options, std::iter::empty()).expect_err("keys are no user")),
        format!("{location:?} {} {storage:?} {}", Location::url(&location), storage.url()),
        format!("{:?}", open::open(&format!("http://{SECRET}@h/x"), &[], std::iter::empty()).expect_err("no scheme")),
    ];
    for shown in shown {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn a_shown_url_opens_what_it_names() {
    let base = tempfile::tempdir().unwrap();
    for name in ["cat#1", "cat#2", "a b", "50%41", "ü?", "plain"] {
        let folder = base.path().join(name);
        let one = Storage::open(folder.to_str().unwrap(), &[]).await.unwrap();
        one.put("hint", Bytes::from(name)).await.unwrap();
        let again = Storage::open(one.url(), &[]).await.unwrap();
        assert_eq!(again.get("hint").await.unwrap().unwrap(), name, "{}", one.url());
        assert_eq!(again.url(), one.url());
    }
    for url in ["file:///d/cat#1", "file:///d/cat?x"] {
        assert!(refused(url, &[], &[]).contains("%23"), "{url}");
    }
    #[cfg(feature = "s3")]
    {
        let keys = pairs(&[("access_key_id", "id"), ("secret_access_key", "s")]);
        let opened = open::open("s3://b//x/", &keys, std::iter::empty()).unwrap();
        assert_eq!(opened.url, "s3://b/x");
    }
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_no_place_for_a_dataset() {
    let base = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(base.path().join("gone"), base.path().join("link")).unwrap();
    for path in ["link", "link/data"] {
        let said = refused(base.path().join(path).to_str().unwrap(), &[], &[]);
        assert!(said.contains("link is a link to") && said.contains("gone, which does not exist"), "{said}");
    }
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
        let settings = open::s3_settings(&pairs(options), pairs(&environment).into_iter()).expect("they are sound");
        let builder = open::s3_builder("b", &settings).expect("it is complete");
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
    assert_eq!(error.kind, StorageErrorKind::Denied, "{error}");
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
    assert!(error.cause.contains("100 bytes"), "{error}");
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
