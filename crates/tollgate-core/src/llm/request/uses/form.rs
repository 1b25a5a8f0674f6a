//! What the parts of a form use.

use super::reader::FIRST;
use super::{MemberName, Uses};
use crate::llm::feature::Feature;
use crate::llm::request::feature_members::{member, When};
use crate::multipart::Part;

/// Parts that are media: as files, in a `data:` URL, or by another one, which the engine fetches.
const MEDIA: [&str; 18] = [
    "file",
    "files",
    "image",
    "images",
    "image_url",
    "image_data",
    "mask",
    "mask_image",
    "video",
    "video_url",
    "audio",
    "audio_url",
    "url",
    "reference",
    "reference_url",
    "input_reference",
    "input_image",
    "known_speaker_references",
];

/// Parts that the model reads, or that say who asks, in which a URL is text.
const TEXTS: [&str; 8] = [
    "prompt",
    "negative_prompt",
    "instructions",
    "hotwords",
    "user",
    "input",
    "context",
    "known_speaker_names",
];

/// Parts that engines and APIs know beside those and the ones on which something is decided.
const KNOWN: [&str; 33] = [
    "language",
    "to_language",
    "response_format",
    "temperature",
    "timestamp_granularities",
    "stream",
    "stream_include_usage",
    "stream_continuous_usage_stats",
    "include",
    "chunking_strategy",
    "task",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "repetition_penalty",
    "presence_penalty",
    "length_penalty",
    "size",
    "quality",
    "background",
    "moderation",
    "output_format",
    "output_compression",
    "partial_images",
    "input_fidelity",
    "style",
    "seconds",
    "service_tier",
    "metadata",
    "guidance_scale",
    "num_inference_steps",
];

/// Reads what the parts of a form use.
#[derive(Debug)]
pub(in crate::llm::request) struct UsesOfForm(Uses);

impl Default for UsesOfForm {
    fn default() -> Self {
        // Nothing of it is changed: what would have to be is refused.
        Self(Uses { has_list_of_settings: true, ..Uses::NONE })
    }
}

impl UsesOfForm {
    /// Reads one on which nothing else is decided.
    pub(in crate::llm::request) fn read(&mut self, part: &Part) {
        let says = |scheme: &[u8]| memchr::memmem::find(&part.text, scheme).is_some();
        let is_url = says(b"://");
        // What the client keeps at the engine.
        let is_id = !is_url && matches!(part.names().last(), Some("file_id" | "id"));
        let mut names = part.names().map(str::to_ascii_lowercase);
        let base = names.next().unwrap_or_default();
        let is_known = self.read_name(&base, part, is_id);
        for name in names {
            self.read_name(&name, part, is_id);
        }
        if is_known {
            return;
        }
        if !part.is_file && (is_url || !part.is_whole()) {
            self.0.note(Feature::RemoteMedia, "url");
        }
        self.0.has_unknown = true;
        let name = part.names().next().and_then(MemberName::new);
        self.0.unknown_member = self.0.unknown_member.or(name);
    }

    /// Reads a name of it, in lower case. Whether it is a known one.
    fn read_name(&mut self, name: &str, part: &Part, is_id: bool) -> bool {
        let says = |text: &[u8]| part.text.windows(text.len()).any(|part| part == text);
        if let Some(member) = member(name.as_bytes()) {
            let is_unset = member.when == When::Set && matches!(&*part.text, b"" | b"false");
            if !is_unset || part.is_file {
                self.0.note(member.feature, member.name);
            }
            return true;
        }
        if let Some(known) = MEDIA.iter().find(|known| **known == name) {
            self.0.note(Feature::Media, known);
            let start = part.text.get(..5).unwrap_or_default();
            if !part.is_file && !is_id && !start.eq_ignore_ascii_case(b"data:") {
                self.0.note(Feature::RemoteMedia, known);
            }
            return true;
        }
        match name {
            "include" if says(b"logprobs") => self.0.note(Feature::Logprobs, "include"),
            "service_tier" if FIRST.contains(&&*part.text) => {
                self.0.note(Feature::Priority, "service_tier");
            }
            "tools" | "functions" => {
                self.0.note(Feature::Tools, "tools");
                self.0.note(Feature::ServerTools, "tools");
            }
            "chat_template_kwargs" => {
                self.0.note(Feature::ChatTemplateKwargs, "chat_template_kwargs");
            }
            _ => {}
        }
        KNOWN.contains(&name) || TEXTS.contains(&name)
    }

    /// What they use.
    pub(in crate::llm::request) fn finish(self) -> Uses {
        self.0
    }
}
