use crate::llm::request::form::FormRequest;
use crate::llm::request::{RequestError, MAX_MODEL_LEN};
use crate::llm::{Engine, Feature};
use crate::multipart::{Boundary, ContentType, FormReader, Part};
use crate::permissions::FeatureRules;

fn boundary() -> Boundary {
    match ContentType::of([&b"multipart/form-data; boundary=b"[..]]) {
        Ok(ContentType::Form(boundary)) => boundary,
        other => panic!("{other:?}"),
    }
}

fn parts(body: &[u8]) -> Vec<Part> {
    let mut reader = FormReader::new(&boundary());
    reader.read(body);
    reader.finish().expect("a form")
}

/// Names of files end in `@`.
fn body(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, text) in fields {
        let (name, file) = match name.strip_suffix('@') {
            Some(name) => (name, "; filename=\"f\""),
            None => (*name, ""),
        };
        body += &format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"
        );
    }
    (body + "--b--\r\n").into_bytes()
}

fn read(fields: &[(&str, &str)]) -> Result<FormRequest, RequestError> {
    FormRequest::of(&parts(&body(fields)), Engine::Vllm)
}

#[test]
fn the_model_is_that_of_the_one_part_of_its_name() {
    let model = |fields: &[(&str, &str)]| read(fields).map(|form| form.request.model);
    assert_eq!(model(&[("file@", "x"), ("model", "whisper")]), Ok(Some("whisper".into())));
    assert_eq!(model(&[("file@", "model"), ("prompt", "model")]), Ok(None));
    assert_eq!(model(&[("model", "")]), Ok(Some("".into())));
    let twice = RequestError::DuplicateKey("model");
    assert_eq!(model(&[("model", "a"), ("model", "a")]), Err(twice));
    for name in ["Model", "MODEL", "model[]", "model[0]", "model.x", "[model]", "Model@"] {
        let misspelt = RequestError::MisspeltKey("model");
        assert_eq!(model(&[(name, "a")]), Err(misspelt), "{name}");
        assert_eq!(model(&[("model", "a"), (name, "a")]), Err(misspelt), "{name}");
    }
    let long = "m".repeat(MAX_MODEL_LEN);
    assert_eq!(model(&[("model", &long)]), Ok(Some(long.clone().into())));
    for bad in [&*(long + "m"), "a\nb", "a\0", &"m".repeat(5000)] {
        assert_eq!(model(&[("model", bad)]), Err(RequestError::BadValue("model")), "{bad}");
    }
    assert_eq!(model(&[("model@", "a")]), Err(RequestError::BadValue("model")));
    let mut latin = body(&[("model", "a")]);
    let at = latin.iter().rposition(|&byte| byte == b'a').unwrap();
    latin[at] = 0xe9;
    let read = FormRequest::of(&parts(&latin), Engine::Vllm).map(|form| form.request.model);
    assert_eq!(read, Err(RequestError::BadValue("model")));
}

#[test]
fn a_model_is_put_where_it_is_named_or_at_the_beginning() {
    for fields in [
        &[("file@", "x"), ("model", "alias"), ("n", "1")][..],
        &[("file@", "x"), ("model", ""), ("n", "1")],
        &[("file@", "x"), ("n", "1")],
        &[],
    ] {
        let body = body(fields);
        let form = FormRequest::of(&parts(&body), Engine::Vllm).unwrap();
        let edits = form.place.name(&boundary(), "whisper").unwrap();
        let changed = edits.apply(&body).unwrap();
        let read = FormRequest::of(&parts(&changed), Engine::Vllm).unwrap();
        assert_eq!(read.request.model.as_deref(), Some("whisper"));
        let names = |parts: &[Part]| -> Vec<_> {
            let all = parts.iter().filter(|part| &*part.name != "model");
            all.map(|part| (part.name.clone(), part.is_file, part.text.clone(), part.len)).collect()
        };
        assert_eq!(names(&parts(&changed)), names(&parts(&body)));
        assert_eq!(form.place.name(&boundary(), "whisper--b"), None);
    }
}

#[test]
fn numbers_are_read_as_everybody_reads_them() {
    let read = |name, text| read(&[(name, text)]).map(|form| form.request);
    assert_eq!(read("n", "3").map(|request| request.choices), Ok(3));
    for bad in ["", "0", "-1", "+1", "1.0", "1e3", " 1", "\u{661}", "4097", "99999999999999999999"]
    {
        assert_eq!(read("n", bad).err(), Some(RequestError::BadValue("n")), "{bad}");
    }
    assert_eq!(read("max_tokens", "7").map(|request| request.output_bound), Ok(Some(7)));
    assert_eq!(read("max_tokens", "0").map(|request| request.output_bound), Ok(Some(u64::MAX)));
    assert_eq!(read("max_tokens", "x").err(), Some(RequestError::BadValue("max_tokens")));
}

#[test]
fn parts_use_the_features_that_members_would() {
    let uses = |name: &str, text: &str| read(&[(name, text)]).unwrap().uses;
    for (name, text, feature, member) in [
        ("file@", "RIFF", Feature::Media, "file"),
        ("image[]@", "x", Feature::Media, "image"),
        ("image", "data:image/png;base64,x", Feature::Media, "image"),
        ("image", "http://10.0.0.1/", Feature::RemoteMedia, "image"),
        ("image[0]", "/etc/passwd", Feature::RemoteMedia, "image"),
        ("url", "http://10.0.0.1/", Feature::RemoteMedia, "url"),
        ("URL", "x", Feature::RemoteMedia, "url"),
        ("input_reference[image_url]", "http://x/", Feature::RemoteMedia, "input_reference"),
        ("input_reference[file_id]", "http://x/", Feature::RemoteMedia, "input_reference"),
        ("whatever", "[\"https://x/\"]", Feature::RemoteMedia, "url"),
        ("vllm_xargs", "{}", Feature::Internals, "vllm_xargs"),
        ("use_beam_search", "true", Feature::BeamSearch, "use_beam_search"),
        ("include[]", "logprobs", Feature::Logprobs, "include"),
        ("priority", "1", Feature::Priority, "priority"),
        ("service_tier", "priority", Feature::Priority, "service_tier"),
        ("lora_path", "x", Feature::Lora, "lora_path"),
        ("tools", "[]", Feature::ServerTools, "tools"),
        ("request_id", "x", Feature::RequestIds, "request_id"),
    ] {
        let uses = uses(name, text);
        assert!(uses.features.has(feature), "{name}");
        assert_eq!(uses.member(feature), member, "{name}");
    }
    for (name, text) in [
        ("prompt", "see http://example.com"),
        ("language", "en"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("temperature", "0"),
        ("use_beam_search", "false"),
        ("service_tier", "auto"),
        ("metadata[key]", "value"),
    ] {
        let uses = uses(name, text);
        assert!(uses.features.is_empty() && !uses.has_unknown, "{name}: {:?}", uses.features);
    }
    let kept = uses("input_reference[file_id]", "file-1");
    assert!(!kept.features.has(Feature::RemoteMedia) && !kept.has_unknown);
    for name in ["next_thing", "next_thing[id]", "x.file"] {
        let unknown = uses(name, "1");
        let base = name.split(['[', '.']).next();
        assert_eq!(unknown.unknown_member.as_ref().map(|member| member.as_str()), base, "{name}");
        assert!(unknown.has_unknown, "{name}");
    }
}

#[test]
fn what_a_tier_denies_is_refused_in_a_form_and_nothing_else() {
    let rules = |words: &[&[&str]]| {
        let mut rules = FeatureRules::default();
        for words in words {
            let (name, rest) = words.split_first().unwrap();
            rules.take(name, rest).unwrap();
        }
        rules
    };
    let judge = |rules: &FeatureRules, fields: &[(&str, &str)]| {
        let FormRequest { request, uses, .. } = read(fields).unwrap();
        rules.judge_form(&request, &uses).err().map(|refusal| refusal.to_string())
    };
    let plain = rules(&[]);
    assert_eq!(judge(&plain, &[("file@", "x"), ("n", "2")]), None);
    assert!(judge(&plain, &[("url", "http://x/")]).is_some());
    let bounded = rules(&[&["max_output_tokens", "10"], &["max_n", "2"]]);
    assert_eq!(judge(&bounded, &[("file@", "x"), ("n", "2"), ("max_tokens", "10")]), None);
    assert!(judge(&bounded, &[("n", "3")]).is_some());
    assert!(judge(&bounded, &[("max_completion_tokens", "11")]).is_some());
    assert!(judge(&bounded, &[("max_completion_tokens", "0")]).is_some());
    let closed = rules(&[&["deny", "media"]]);
    assert!(judge(&closed, &[("file@", "x")]).is_some());
    assert_eq!(judge(&closed, &[("prompt", "x")]), None);
    for word in ["deny", "strip"] {
        let unknown = rules(&[&["unknown_members", word]]);
        assert!(judge(&unknown, &[("next", "x")]).is_some(), "{word}");
        assert_eq!(judge(&unknown, &[("language", "en"), ("file@", "x")]), None, "{word}");
    }
}
