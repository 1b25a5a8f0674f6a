//! What tells of the engine's disk.

/// Instructions of a Modelfile that say what the model is made of.
const SOURCES: [&str; 3] = ["from", "adapter", "draft"];

/// Whether a text is an absolute path, of Windows as well, or one below somebody's home, or the URL of a file.
pub(super) fn is_path(text: &str) -> bool {
    let text = text.trim();
    let is_absolute = match text.as_bytes() {
        [b'/' | b'\\', rest @ ..] | [b'~', b'/', rest @ ..] => !rest.is_empty(),
        [drive, b':', b'/' | b'\\', ..] => drive.is_ascii_alphabetic(),
        bytes => bytes.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"file:")),
    };
    is_absolute && !text.contains('\n')
}

/// What a line of a Modelfile, or of its parameters, says that the model came from. One that is left out with a `#`
/// says it as well, and so does an instruction that a later version has.
pub(super) fn source(line: &str) -> Option<&str> {
    let line = line.trim_start_matches(['#', ' ', '\t']).trim_end();
    let (word, rest) = line.split_once([' ', '\t'])?;
    let rest = rest.trim_start().trim_matches('"');
    if SOURCES.iter().any(|source| word.eq_ignore_ascii_case(source)) {
        return Some(rest);
    }
    let value = match rest.split_once([' ', '\t']) {
        // What the model stops at, is what the client may send.
        Some(("stop", _)) => return None,
        Some((_, value)) if word.eq_ignore_ascii_case("parameter") => {
            value.trim().trim_matches('"')
        }
        Some(_) => return None,
        None => rest,
    };
    // A template may have "/think".
    let is_deep = value.bytes().filter(|byte| matches!(byte, b'/' | b'\\')).count() > 1;
    (is_path(value) && is_deep && !value.contains(char::is_whitespace)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known() {
        for text in ["/x", "/root/x\n", " ~/x", "C:\\x", "\\\\host\\x", "file:///root/x", "FILE:x"]
        {
            assert!(is_path(text), "{text:?}");
        }
        for text in ["", "/", "x/y", "org/model", "a\n/root/x", "files", "https://x/y", "é"] {
            assert!(!is_path(text), "{text:?}");
        }
    }

    #[test]
    fn lines_that_say_where_a_model_came_from_are_known() {
        for (line, expected) in [
            ("FROM /root/x\n", Some("/root/x")),
            ("# FROM \"/x y\"", Some("/x y")),
            ("# FROM llama3:latest", Some("llama3:latest")),
            ("ADAPTER\t/a", Some("/a")),
            (
                "DRAFT /root/.ollama/models/blobs/sha256-1",
                Some("/root/.ollama/models/blobs/sha256-1"),
            ),
            ("PROJECTOR /root/x", Some("/root/x")),
            ("adapter                        /root/x", Some("/root/x")),
            ("PARAMETER draft /root/x", Some("/root/x")),
            ("PARAMETER stop \"/a/b\"", None),
            ("stop  \"<|im_end|>\"", None),
            ("say /think", None),
            ("# To build a new Modelfile based on this, replace FROM with:", None),
            ("TEMPLATE \"\"\"", None),
            ("", None),
        ] {
            assert_eq!(source(line), expected, "{line}");
        }
    }
}
