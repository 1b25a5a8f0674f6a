//! Pages of real engines, as clients may know them.

use super::*;

/// A client that may use these, under their own names.
fn only<'a>(
    allowed: &'a [&'a str],
) -> impl for<'n> Fn(&'n str, usize) -> Option<Cow<'n, str>> + 'a {
    move |name, index| (allowed.contains(&name) && index == 0).then_some(Cow::Borrowed(name))
}

fn all(name: &str, index: usize) -> Option<Cow<'_, str>> {
    (index == 0).then_some(Cow::Borrowed(name))
}

/// What is shown to a client that may use `allowed`; `None`: anything.
fn shown(page: Page, body: &str, allowed: Option<&[&str]>) -> Result<Value, Unreadable> {
    let mended = match allowed {
        Some(allowed) => mend(page, body.as_bytes(), true, &only(allowed)),
        None => mend(page, body.as_bytes(), false, &all),
    };
    let bytes = mended?.unwrap_or_else(|| body.into());
    Ok(serde_json::from_slice(&bytes).unwrap())
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const VLLM: &str = r#"{"object":"list","data":[
    {"id":"base","object":"model","created":1,"owned_by":"vllm","root":"/models/llama","parent":null,"max_model_len":2048,
     "permission":[{"id":"modelperm-1","object":"model_permission","organization":"*","group":null}]},
    {"id":"lora","object":"model","created":1,"owned_by":"vllm","root":"/adapters/lora","parent":"base","max_model_len":null,
     "permission":[]}]}"#;

#[test]
fn list_of_vllm_is_without_paths_and_without_what_is_not_open() {
    let free = shown(Page::Models, VLLM, None).unwrap();
    assert_eq!(free["data"][0]["root"], "base");
    assert_eq!(free["data"][1]["root"], "lora");
    assert_eq!(free["data"][1]["parent"], "base");
    assert_eq!(free["data"][0]["permission"][0]["id"], "modelperm-1");
    assert_eq!(free["data"][0]["max_model_len"], 2048);

    let one = shown(Page::Models, VLLM, Some(&["lora"])).unwrap();
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&one["data"][0]["id"], &one["data"][0]["parent"]),
        (&value("\"lora\""), &Value::Null)
    );
    assert!(!one.to_string().contains("base") && !one.to_string().contains("/"));
    let none = shown(Page::Models, VLLM, Some(&[])).unwrap();
    assert_eq!(none, value(r#"{"object":"list","data":[]}"#));
}

#[test]
fn what_needs_no_change_stays_as_it_is() {
    let body = r#"{ "object":"list", "data":[{"id":"tiny","root":"tiny","created":1796000853}] }"#;
    assert_eq!(mend(Page::Models, body.as_bytes(), false, &all), Ok(None));
    assert_eq!(mend(Page::Models, body.as_bytes(), true, &only(&["tiny"])), Ok(None));
}

#[test]
fn both_lists_of_llamacpp_are_filtered() {
    let body = r#"{"models":[{"name":"a","model":"a","details":{"parent_model":"/m/x.gguf"}},{"name":"b","model":"b"}],
        "object":"list","data":[{"id":"a","aliases":["a","b"],"path":"/m/a.gguf","meta":{"n_ctx":1},
        "status":{"value":"loaded","args":["llama-server","-m","/m/a.gguf"],"preset":"model = /m/a.gguf"}},{"id":"b"}]}"#;
    assert_eq!(
        shown(Page::Models, body, Some(&["a"])).unwrap(),
        value(
            r#"{"models":[{"name":"a","model":"a","details":{"parent_model":""}}],"object":"list",
            "data":[{"id":"a","aliases":["a"],"meta":{"n_ctx":1},"status":{"value":"loaded"}}]}"#
        )
    );
    let free = shown(Page::Models, body, None).unwrap().to_string();
    assert!(!free.contains("/m/") && free.contains(r#""aliases":["a","b"]"#), "{free}");
}

#[test]
fn a_model_that_is_a_path_keeps_its_name_and_nothing_else_of_it() {
    let body = r#"{"object":"list","data":[{"id":"/m/a.gguf","root":"/m/a.gguf","license_link":"/m/LICENSE","note":"see /m"}]}"#;
    assert_eq!(
        shown(Page::Models, body, None).unwrap(),
        value(
            r#"{"object":"list","data":[{"id":"/m/a.gguf","root":"/m/a.gguf","note":"see /m"}]}"#
        )
    );
}

#[test]
fn list_of_ollama_goes_by_both_of_its_names() {
    let body = r#"{"models":[
        {"name":"a:latest","model":"a:latest","size":1,"digest":"sha256:1","details":{"parent_model":"b:latest","family":"x"}},
        {"name":"a:latest","model":"b:latest"},{"name":"b:latest","model":"a:latest"},{"size":1},"b:latest",7,["a:latest"],
        {"name":["a:latest"]}]}"#;
    assert_eq!(
        shown(Page::Models, body, Some(&["a:latest"])).unwrap(),
        value(
            r#"{"models":[{"name":"a:latest","model":"a:latest","size":1,"digest":"sha256:1",
            "details":{"parent_model":"","family":"x"}}]}"#
        )
    );
}

#[test]
fn list_of_anthropic_ends_with_what_is_shown() {
    let body = r#"{"data":[{"type":"model","id":"a"},{"type":"model","id":"b"},{"type":"model","id":"c"}],
        "has_more":false,"first_id":"a","last_id":"c"}"#;
    let some = shown(Page::Models, body, Some(&["b"])).unwrap();
    assert_eq!((&some["first_id"], &some["last_id"]), (&value("\"b\""), &value("\"b\"")));
    let none = shown(Page::Models, body, Some(&[])).unwrap();
    assert_eq!((&none["first_id"], &none["last_id"]), (&Value::Null, &Value::Null));
    assert_eq!(shown(Page::Models, body, None).unwrap(), value(body));
}

#[test]
fn what_may_tell_of_other_models_is_not_shown_to_who_may_not_know_them() {
    let body = r#"{"data":[{"id":"a"}],"default":"b","object":"list","models":{"b":1}}"#;
    let some = shown(Page::Models, body, Some(&["a"])).unwrap();
    assert_eq!(some, value(r#"{"data":[{"id":"a"}],"object":"list"}"#));
    for body in [
        "",
        "[]",
        "null",
        "{}",
        "\"a\"",
        r#"{"data":{}}"#,
        r#"{"data":[]"#,
        r#"{"data":[]} x"#,
        r#"{"data":[{"id":"a","id":"b"}]}"#,
        r#"{"data":[{"id":"a","root":1,"root":2}]}"#,
        r#"["a"]"#,
        "{\"data\":[{\"id\":\"a\u{0}\"}]}",
    ] {
        let restricted = mend(Page::Models, body.as_bytes(), true, &only(&["a"]));
        assert_eq!(restricted, Err(Unreadable), "{body}");
    }
    assert_eq!(mend(Page::Models, b"{\"data\":[\"\xff\"]}", true, &only(&["a"])), Err(Unreadable));
}

#[test]
fn what_is_meant_to_be_json_and_is_none_is_shown_to_nobody() {
    for body in [
        r#"{"data":[]"#,
        r#"{"data":[{"id":"a","root":"/m"}]} x"#,
        r#" [{"id":"a","id":"b"}]"#,
        r#"{"data":[{"id":"a","root":"/m","n":1e400}]}"#,
        r#"{"data":[{"id":"a","root":"/m","n":NaN}]}"#,
        r#"{"data":[{"id":"a\ud800","root":"/m"}]}"#,
        "\u{feff}{",
    ] {
        for page in [Page::Models, Page::Model, Page::Show] {
            assert_eq!(mend(page, body.as_bytes(), false, &all), Err(Unreadable), "{body}");
        }
        assert_eq!(mend(Page::Missing, body.as_bytes(), false, &all), Ok(None), "{body}");
    }
    for body in ["", " ", "<b>/m</b>", "\"a\"", "null", "Not found"] {
        assert_eq!(mend(Page::Models, body.as_bytes(), false, &all), Ok(None), "{body}");
    }
    let marked = "\u{feff}{\"data\":[{\"id\":\"a\",\"root\":\"/m\"},{\"id\":\"b\"}]}";
    let some = shown(Page::Models, marked, Some(&["a"])).unwrap();
    assert_eq!(some, value(r#"{"data":[{"id":"a","root":"a"}]}"#));
}

#[test]
fn what_an_entry_says_besides_names_no_others() {
    let body = r#"{"data":[{"id":"a","created":1,"base_model":"secret","x":{"id":"secret"},"tags":["secret"],
        "metadata":{"fallbacks":["secret"]},"permission":[{"id":"modelperm-1","organization":"*"},{"id":"secret"}],
        "capabilities":{"batch":{"supported":true,"by":"secret"}},"meta":{"n_ctx":1,"from":"secret","all":["secret"]}}]}"#;
    assert_eq!(
        shown(Page::Models, body, Some(&["a"])).unwrap(),
        value(
            r#"{"data":[{"id":"a","created":1,"permission":[{"id":"modelperm-1","organization":"*"},{}],
            "capabilities":{"batch":{"supported":true}},"meta":{"n_ctx":1}}]}"#
        )
    );
    assert_eq!(shown(Page::Models, body, None).unwrap(), value(body));
    let one = r#"{"id":"a","base_model":"secret","data":[{"id":"secret"}]}"#;
    assert_eq!(shown(Page::Model, one, Some(&["a"])).unwrap(), value(r#"{"id":"a"}"#));
    for other in [r#"{"id":"secret"}"#, r#"{"id":"a","name":"secret"}"#, r#"{"id":["a"]}"#, "[]"] {
        assert_eq!(shown(Page::Model, other, Some(&["a"])), Err(Unreadable), "{other}");
        assert_eq!(shown(Page::Model, other, None).unwrap(), value(other));
    }
}

#[test]
fn what_ollama_shows_names_nothing_else() {
    let body = r##"{"modelfile":"# FROM a\nFROM secret\nDRAFT /root/dr\nTEMPLATE x\n","parameters":"adapter   /root/x\nstop \"x\"","x":"file:///root/x"}"##;
    assert_eq!(
        shown(Page::Show, body, None).unwrap(),
        value(r##"{"modelfile":"# FROM a\nFROM secret\nTEMPLATE x\n","parameters":"stop \"x\""}"##)
    );
    assert_eq!(
        shown(Page::Show, body, Some(&["a"])).unwrap(),
        value(r##"{"modelfile":"# FROM a\nTEMPLATE x\n","parameters":"stop \"x\""}"##)
    );
}

#[test]
fn a_page_that_is_too_long_or_no_json_is_never_shown() {
    let held = |parts: &[&[u8]], readable| {
        let mut held = Held::new(Page::Models, Some(3), readable);
        parts.iter().for_each(|part| held.add(part));
        held.mend(false, &all).map(Cow::into_owned)
    };
    assert_eq!(held(&[b"{\"a\"", b":1}"], true), Ok(b"{\"a\":1}".to_vec()));
    assert_eq!(held(&[b"{}"], false), Err(Unreadable));
    let blanks = vec![b' '; MAX_PAGE - 2];
    assert!(held(&[&blanks, b"{}"], true).is_ok());
    assert_eq!(held(&[&blanks, b"{}", b" "], true), Err(Unreadable));
    assert_eq!(held(&[&blanks, b"   ", b"{}"], true), Err(Unreadable));
}

#[test]
fn an_error_about_a_model_that_is_missing_is_known_by_its_name_and_words() {
    let is_about = |page, text: &str| {
        let mut held = Held::new(page, None, true);
        held.add(text.as_bytes());
        held.is_about_missing("a\"b")
    };
    let vllm = r#"{"error":{"message":"The model `a\"b` does not exist. Valid aliases: c."}}"#;
    assert!(is_about(Page::Missing, vllm));
    assert!(is_about(Page::Missing, r#"{"error":"model 'a\"b' not found"}"#));
    assert!(!is_about(Page::Models, vllm));
    assert!(!is_about(Page::Missing, r#"{"error":"Response with id 'resp_1' not found."}"#));
    assert!(!is_about(Page::Missing, r#"{"error":"a\"b is busy"}"#));
}

#[test]
fn what_ollama_shows_is_without_the_paths_of_its_files() {
    let body = r##"{"license":"/ not a path\n of one","modelfile":"# Modelfile\n# FROM a\n\nFROM /root/.ollama/blobs/sha256-1\nFROM \"/x y\"\nADAPTER /a\nTEMPLATE \"\"\"\nfrom here\n\"\"\"\n",
        "details":{"parent_model":"/m","format":"gguf"},"model_info":{"general.file":"C:\\m\\a.gguf","n":1.5,"t":null}}"##;
    assert_eq!(
        shown(Page::Show, body, None).unwrap(),
        value(
            r##"{"license":"/ not a path\n of one","modelfile":"# Modelfile\n# FROM a\n\nTEMPLATE \"\"\"\nfrom here\n\"\"\"\n",
            "details":{"parent_model":"","format":"gguf"},"model_info":{"n":1.5,"t":null}}"##
        )
    );
}

#[test]
fn one_model_and_what_is_served_are_without_paths() {
    let one =
        shown(Page::Model, r#"{"id":"a","root":"/m/a","parent":"/m"}"#, Some(&["a"])).unwrap();
    assert_eq!(one, value(r#"{"id":"a","root":"a","parent":null}"#));
    let about =
        r#"{"model_path":"/m/a","tokenizer_path":"~/a","is_generation":true,"name":"org/a"}"#;
    let about = shown(Page::About, about, None).unwrap();
    assert_eq!(about, value(r#"{"is_generation":true,"name":"org/a"}"#));
}

#[test]
fn a_model_is_shown_under_the_name_that_the_client_knows() {
    let alias: Shown<'_> = &|name, index| match (name, index) {
        ("llama-3.1-8b", 0) => Some(Cow::Borrowed("chat-default")),
        ("llama-3.1-8b", 1) => Some(Cow::Borrowed("chat-small")),
        _ => None,
    };
    let body = br#"{"data":[{"id":"llama-3.1-8b","root":"llama-3.1-8b"},{"id":"b","parent":"llama-3.1-8b"}]}"#;
    let mended = mend(Page::Models, body, true, alias).unwrap().unwrap();
    let expected = r#"{"data":[{"id":"chat-default","root":"chat-default"},{"id":"chat-small","root":"chat-small"}]}"#;
    assert_eq!(String::from_utf8(mended).unwrap(), expected);
    let tags = br#"{"models":[{"name":"llama-3.1-8b","model":"llama-3.1-8b"}]}"#;
    let mended = mend(Page::Models, tags, false, alias).unwrap().unwrap();
    let expected = r#"{"models":[{"name":"chat-default","model":"chat-default"},{"name":"chat-small","model":"chat-small"}]}"#;
    assert_eq!(String::from_utf8(mended).unwrap(), expected);
}

mod generated {
    use super::*;
    use proptest::prelude::*;

    /// Names, of which `a` and `/m/a` are open, paths and other texts.
    fn text() -> impl Strategy<Value = Value> {
        let texts = ["a", "b", "/m/a", "/m/b", "~/x", "C:\\x", "", "x y", "FROM /m\nto b"];
        prop::sample::select(texts.to_vec()).prop_map(Value::from)
    }

    fn member() -> impl Strategy<Value = &'static str> {
        let names = [
            "id",
            "name",
            "model",
            "root",
            "parent",
            "parent_model",
            "aliases",
            "path",
            "status",
            "modelfile",
            "data",
            "models",
            "first_id",
            "other",
        ];
        prop::sample::select(names.to_vec())
    }

    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![4 => text(), 1 => Just(Value::Null), 1 => Just(Value::from(1))];
        let inner = leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(member(), inner, 0..6).prop_map(|members| {
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        });
        (prop::collection::vec(inner.clone(), 0..5), inner).prop_map(
            |(data, other)| serde_json::json!({"data": data, "models": other, "first_id": "b"}),
        )
    }

    /// All texts, each with the member that it is, or is in.
    fn texts<'v>(value: &'v Value, name: &'v str, found: &mut Vec<(&'v str, &'v str)>) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, value)| texts(value, name, found));
            }
            Value::Array(elements) => elements.iter().for_each(|value| texts(value, name, found)),
            Value::String(text) => found.push((name, text)),
            _ => {}
        }
    }

    const OPEN: [&str; 2] = ["a", "/m/a"];

    proptest! {
        #[test]
        fn what_is_shown_names_no_model_that_is_not_open(document in document()) {
            let body = document.to_string();
            let mended = mend(Page::Models, body.as_bytes(), true, &only(&OPEN)).unwrap();
            let mended = mended.unwrap_or_else(|| body.clone().into_bytes());
            // Once is enough.
            prop_assert_eq!(mend(Page::Models, &mended, true, &only(&OPEN)), Ok(None));
            let shown: Value = serde_json::from_slice(&mended).unwrap();
            for list in ["data", "models"] {
                for model in shown[list].as_array().into_iter().flatten() {
                    let names = NAMES.iter().filter_map(|name| model.get(name));
                    let mut names = names.chain(Some(model).filter(|model| model.is_string())).peekable();
                    prop_assert!(names.peek().is_some(), "{}", model);
                    for name in names {
                        prop_assert!(OPEN.contains(&name.as_str().unwrap_or("?")), "{}", model);
                    }
                    for other in ["parent", "parent_model"] {
                        let text = model.get(other).and_then(Value::as_str).unwrap_or("");
                        prop_assert!(text.is_empty() || OPEN.contains(&text), "{}", model);
                    }
                }
            }
            prop_assert!(shown["first_id"].as_str().is_none_or(|id| OPEN.contains(&id)));
        }

        #[test]
        fn nobody_sees_a_path_but_as_the_name_of_a_model(document in document()) {
            let body = document.to_string();
            for page in [Page::Models, Page::Show] {
                let mended = mend(page, body.as_bytes(), false, &all).unwrap();
                let mended = mended.unwrap_or_else(|| body.clone().into_bytes());
                let shown: Value = serde_json::from_slice(&mended).unwrap();
                let mut found = Vec::new();
                texts(&shown, "", &mut found);
                // A name may be there once more, and a list of names is one of models.
                let is_name = |member: &str| {
                    NAMES.contains(&member) || ["data", "models", "aliases"].contains(&member)
                };
                let names: Vec<_> = found.iter().filter(|text| is_name(text.0)).map(|text| text.1).collect();
                found.retain(|(member, text)| {
                    !is_name(member) && is_path(text) && !names.contains(text)
                });
                prop_assert!(found.is_empty(), "{:?} of {}", found, shown);
            }
        }
    }
}
