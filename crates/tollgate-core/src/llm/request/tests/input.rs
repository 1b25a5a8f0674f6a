use super::*;

fn size(text_bytes: u64, messages: u64, media: u64, token_ids: u64) -> InputSize {
    InputSize { text_bytes, messages, media, token_ids }
}

#[test]
fn prompts_are_text_or_token_ids() {
    for (prompt, expected) in [
        (r#""abc""#, size(3, 0, 0, 0)),
        (r#""\u00e9\n""#, size(3, 0, 0, 0)),
        (r#"["ab","c"]"#, size(3, 2, 0, 0)),
        ("[1,2,3]", size(0, 0, 0, 3)),
        ("[[1,2],[3]]", size(0, 2, 0, 3)),
        (r#"[[1,"ab",2]]"#, size(2, 1, 0, 2)),
    ] {
        for (endpoint, key) in [
            (Endpoint::Completions, "prompt"),
            (Endpoint::Embeddings, "input"),
            (Endpoint::TgiGenerate, "inputs"),
            (Endpoint::OllamaGenerate, "prompt"),
        ] {
            let body = format!(r#"{{"{key}":{prompt},"unknown":"not counted"}}"#);
            assert_eq!(on(endpoint, &body).input, expected, "{body}");
        }
    }
}

#[test]
fn messages_count_by_what_they_say() {
    for (endpoint, body, expected) in [
        (
            Endpoint::Chat,
            r#"{"messages":[{"role":"user","content":"abc"},{"role":"assistant","content":null}]}"#,
            size(4 + 3 + 9, 2, 0, 0),
        ),
        (
            Endpoint::Chat,
            r#"{"messages":[{"content":[{"type":"text","text":"abc"},"de"]}]}"#,
            size(4 + 3 + 2, 1, 0, 0),
        ),
        (Endpoint::Chat, r#"{"messages":"x"}"#, size(1, 0, 0, 0)),
        (Endpoint::Responses, r#"{"input":"abc","instructions":"de"}"#, size(5, 0, 0, 0)),
        (
            Endpoint::Responses,
            r#"{"input":[{"content":"abc"},{"output":[{"text":"de"}]}]}"#,
            size(5, 2, 0, 0),
        ),
        (
            Endpoint::Messages,
            r#"{"system":[{"text":"abc"}],"messages":[{"content":"de"}]}"#,
            size(5, 1, 0, 0),
        ),
        (
            Endpoint::OllamaGenerate,
            r#"{"prompt":"a","suffix":"b","System":"c","template":"d","context":[1,2]}"#,
            size(4, 0, 0, 2),
        ),
    ] {
        assert_eq!(on(endpoint, body).input, expected, "{body}");
    }
}

#[test]
fn what_the_model_sees_as_json_counts_as_compact_json() {
    for json in [
        "{}",
        "[]",
        r#"[{"type":"function","function":{"name":"f","parameters":{"a":[1,-2,null,true]}}}]"#,
        r#"{"a":{},"b":[[],[false]],"c":""}"#,
    ] {
        let length = u64::try_from(json.len()).unwrap();
        for key in ["tools", "functions", "response_format", "format", "documents"] {
            let body = format!(r#"{{"{key}":{json}}}"#);
            assert_eq!(chat(&body).unwrap().input, size(length, 0, 0, 0), "{body}");
        }
        let body = format!(r#"{{"messages":[{{"tool_calls":{json}}}]}}"#);
        assert_eq!(chat(&body).unwrap().input, size(length, 1, 0, 0), "{body}");
    }
}

#[test]
fn media_count_by_their_number_and_not_as_text() {
    let part = |endpoint, part: &str| {
        on(endpoint, &format!(r#"{{"messages":[{{"content":[{part}]}}]}}"#)).input
    };
    let data = "data:image/png;base64,iVBORw0KGgo=";
    for (content, text) in [
        (format!(r#"{{"image_url":{{"url":"{data}"}}}}"#), 0),
        (format!(r#"{{"image_url":"{data}"}}"#), 0),
        (r#"{"image_url":{"url":"https://example.com/a.png","detail":"low"}}"#.to_owned(), 3),
        (r#"{"input_audio":{"data":"UklGRg==","format":"wav"}}"#.to_owned(), 3),
        (format!(r#"{{"file":{{"filename":"a.pdf","file_data":"{data}"}}}}"#), 5),
        (format!(r#"{{"type":"input_image","image_url":"{data}"}}"#), 11),
        (r#"{"source":{"type":"base64","media_type":"image/png","data":"iVBO"}}"#.to_owned(), 0),
        (r#"{"source":{"type":"url","url":"https://example.com/a.png"}}"#.to_owned(), 0),
        (r#"{"content":[{"source":{"data":"iVBO","type":"base64"}}]}"#.to_owned(), 0),
    ] {
        assert_eq!(part(Endpoint::Chat, &content), size(text, 1, 1, 0), "{content}");
    }
    for body in [
        r#"{"messages":[{"content":"ab","images":["iVBO","iVBO"]}]}"#,
        r#"{"messages":[{"content":"ab"}],"images":["iVBO","iVBO"]}"#,
    ] {
        assert_eq!(on(Endpoint::OllamaChat, body).input, size(2, 1, 2, 0), "{body}");
    }
}

#[test]
fn documents_count_by_what_the_model_reads_of_them() {
    let data = "data:application/pdf;base64,JVBERi0=";
    for (part, text, media) in [
        // Anthropic's. What a document is called, and what is said of it, the model reads as well.
        (
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"abcde"}}"#.to_owned(),
            "document".len() + 5,
            0,
        ),
        (
            r#"{"type":"document","title":"abc","context":"de","source":{"type":"text","data":"fgh"}}"#.to_owned(),
            "document".len() + 8,
            0,
        ),
        (
            r#"{"type":"document","source":{"type":"content","content":"abcde"}}"#.to_owned(),
            "document".len() + 5,
            1,
        ),
        (
            r#"{"type":"document","source":{"type":"content","content":[{"text":"abc"},{"text":"de"}]}}"#.to_owned(),
            "document".len() + 5,
            1,
        ),
        (
            r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}}"#.to_owned(),
            "document".len(),
            1,
        ),
        (
            r#"{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}"#.to_owned(),
            "document".len(),
            1,
        ),
        (
            r#"{"type":"document","source":{"type":"file","file_id":"file_01"}}"#.to_owned(),
            "document".len(),
            1,
        ),
        // OpenAI's, of Chat and of Responses.
        (
            format!(r#"{{"type":"file","file":{{"filename":"abcde","file_data":"{data}"}}}}"#),
            "file".len() + 5,
            1,
        ),
        (
            r#"{"type":"file","file":{"file_id":"file-1"}}"#.to_owned(),
            "file".len(),
            1,
        ),
        (
            format!(r#"{{"type":"input_file","filename":"abcde","file_data":"{data}"}}"#),
            "input_file".len() + 5,
            1,
        ),
        (
            r#"{"type":"input_file","file_url":"https://example.com/a.pdf"}"#.to_owned(),
            "input_file".len(),
            1,
        ),
        (r#"{"type":"input_file","file_id":"file-1"}"#.to_owned(), "input_file".len(), 1),
        // A tool's result, with a document in it.
        (
            r#"{"type":"tool_result","content":[{"type":"document","source":{"type":"text","data":"abcde"}}]}"#.to_owned(),
            "tool_result".len() + "document".len() + 5,
            0,
        ),
    ] {
        let text = u64::try_from(text).unwrap();
        for (endpoint, key) in
            [(Endpoint::Chat, "messages"), (Endpoint::Messages, "messages"), (Endpoint::Responses, "input")]
        {
            let body = format!(r#"{{"{key}":[{{"content":[{part}]}}]}}"#);
            assert_eq!(on(endpoint, &body).input, size(text, 1, media, 0), "{endpoint:?} {part}");
        }
    }
}

#[test]
fn text_is_not_taken_for_media_whatever_it_looks_like() {
    let data = "data:image/png;base64,iVBO";
    let length = u64::try_from(data.len()).unwrap();
    for message in [
        format!(r#"{{"content":"{data}"}}"#),
        format!(r#"{{"content":[{{"text":"{data}"}}]}}"#),
        format!(r#"{{"content":[{{"source":{{"data":"{data}","type":"text"}}}}]}}"#),
        format!(r#"{{"images":"{data}"}}"#),
    ] {
        let input = chat(&format!(r#"{{"messages":[{message}]}}"#)).unwrap().input;
        assert_eq!(input, size(length, 1, 0, 0), "{message}");
    }
    let call = format!(r#"{{"tool_calls":[{{"image_url":"{data}"}}]}}"#);
    let input = chat(&format!(r#"{{"messages":[{call}]}}"#)).unwrap().input;
    assert!(input.text_bytes > length && input.media == 0);
}
