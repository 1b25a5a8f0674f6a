//! The answers, dialect by dialect.

use tollgate_core::llm::meter::Format;
use tollgate_core::llm::{Endpoint, Usage};

use super::{list, Writer};

impl Writer<'_> {
    fn chat_usage(&mut self, input: u64, output: u64) -> String {
        let Usage { cached_input, reasoning, .. } = self.answer.usage;
        let (input, output, total) =
            (self.number(input), self.number(output), self.number(input + output));
        let mut members =
            vec![("prompt_tokens", input), ("completion_tokens", output), ("total_tokens", total)];
        if cached_input > 0 {
            let details = vec![("cached_tokens", cached_input.to_string())];
            members.push(("prompt_tokens_details", self.object(details)));
        } else if self.random.one_in(2) {
            members.push(("prompt_tokens_details", "null".to_owned()));
        }
        if reasoning > 0 {
            let details = vec![("reasoning_tokens", reasoning.to_string())];
            members.push(("completion_tokens_details", self.object(details)));
        }
        self.object(members)
    }

    fn chat_message(&mut self) -> String {
        let key = self.random.pick(&["content", "reasoning", "reasoning_content", "refusal", ""]);
        let text = self.output();
        let message = match key {
            "" => {
                let function = self.object(vec![("arguments", text)]);
                let call = self.object(vec![("index", "0".to_owned()), ("function", function)]);
                vec![("tool_calls", list(&[call]))]
            }
            "content" if self.random.one_in(4) => {
                let part = self.object(vec![("type", "\"text\"".to_owned()), ("text", text)]);
                vec![("content", list(&[part]))]
            }
            key => vec![(key, text)],
        };
        self.object(message)
    }

    fn choice(&mut self, endpoint: Endpoint, key: &'static str) -> String {
        let member = match endpoint {
            Endpoint::Completions => ("text", self.output()),
            _ => (key, self.chat_message()),
        };
        self.object(vec![member, ("index", "0".to_owned()), ("finish_reason", "null".to_owned())])
    }

    pub(super) fn chat_answer(&mut self, endpoint: Endpoint) {
        let choice = self.choice(endpoint, "message");
        let usage = self.chat_usage(self.answer.usage.input, self.answer.usage.output);
        let document = self.document(vec![("choices", list(&[choice])), ("usage", usage)]);
        self.send("", &document);
    }

    pub(super) fn chat_events(&mut self, endpoint: Endpoint) {
        let Usage { input, output, .. } = self.answer.usage;
        let is_continuous = self.random.one_in(3);
        let deltas = 1 + self.random.count(4);
        for delta in 1..=deltas {
            let choice = self.choice(endpoint, "delta");
            let mut members = vec![("choices", list(&[choice]))];
            if is_continuous {
                members.push(("usage", self.chat_usage(input, output * delta / (deltas + 1))));
            } else if self.random.one_in(3) {
                members.push(("usage", "null".to_owned()));
            }
            let document = self.document(members);
            self.send_delta("x", &document);
        }
        let with_choice = self.random.one_in(4);
        let choices = if with_choice { "[{\"delta\":{},\"text\":\"\"}]" } else { "[]" };
        let times = 1 + self.random.below(2);
        for _ in 0..times {
            let usage = self.chat_usage(input, output);
            let document = self.document(vec![("choices", choices.to_owned()), ("usage", usage)]);
            let sent = self.send("x", &document);
            if !with_choice {
                self.answer.usage_only.push(sent);
            }
        }
        if with_choice || self.random.one_in(2) {
            self.send("x", "[DONE]");
        }
    }

    pub(super) fn embeddings(&mut self) {
        self.answer.usage = Usage { input: self.answer.usage.input, ..Usage::default() };
        let input = self.number(self.answer.usage.input);
        let mut usage = vec![("prompt_tokens", input.clone()), ("total_tokens", input)];
        if self.random.one_in(2) {
            usage.push(("completion_tokens", "0".to_owned()));
        }
        let usage = self.object(usage);
        let data = "[{\"embedding\":[0.1,-2.5e-3],\"usage\":{\"prompt_tokens\":1}}]".to_owned();
        let document = self.document(vec![("data", data), ("usage", usage)]);
        self.send("", &document);
    }

    fn token_usage(&mut self) -> String {
        let Usage { input, output, cached_input, reasoning, .. } = self.answer.usage;
        let cached = self.object(vec![("cached_tokens", cached_input.to_string())]);
        let reasoning = self.object(vec![("reasoning_tokens", reasoning.to_string())]);
        let (input, output) = (self.number(input), self.number(output));
        self.object(vec![
            ("input_tokens", input),
            ("output_tokens", output),
            ("input_tokens_details", cached),
            ("output_tokens_details", reasoning),
        ])
    }

    pub(super) fn responses_answer(&mut self) {
        let usage = self.token_usage();
        let text = self.output();
        let part = self.object(vec![("type", "\"output_text\"".to_owned()), ("text", text)]);
        let item = self.object(vec![("content", list(&[part]))]);
        let members =
            vec![("output", list(&[item])), ("usage", usage), ("error", "null".to_owned())];
        let document = self.document(members);
        self.send("", &document);
    }

    pub(super) fn responses_events(&mut self) {
        let created = self.object(vec![("usage", "null".to_owned())]);
        let document =
            self.document(vec![("type", "\"response.created\"".to_owned()), ("response", created)]);
        self.send("response.created", &document);
        for _ in 0..=self.random.below(4) {
            let kind = self.random.pick(&[
                "\"response.output_text.delta\"",
                "\"response.reasoning_text.delta\"",
                "\"response.function_call_arguments.delta\"",
            ]);
            let text = self.output();
            let document = self.document(vec![("type", kind.to_owned()), ("delta", text)]);
            self.send_delta("x", &document);
        }
        let kind =
            self.random.pick(&["\"response.completed\"", "\"response.incomplete\""]).to_owned();
        let usage = self.token_usage();
        let whole = "[{\"content\":[{\"text\":\"the whole text once more\"}]}]".to_owned();
        let response = self.object(vec![("usage", usage), ("output", whole)]);
        let document = self.document(vec![("type", kind), ("response", response)]);
        self.send("x", &document);
    }

    /// The usage of Messages, whose input is in three parts.
    fn message_usage(&mut self, output: u64) -> String {
        let Usage { input, cached_input, .. } = self.answer.usage;
        let created = (input - cached_input) / 3;
        self.answer.usage.cache_write = created;
        self.answer.usage.cache_write_1h = created / 2;
        let split = self.object(vec![
            ("ephemeral_5m_input_tokens", (created - created / 2).to_string()),
            ("ephemeral_1h_input_tokens", (created / 2).to_string()),
        ]);
        let rest = input - cached_input - created;
        let (rest, output) = (self.number(rest), self.number(output));
        self.object(vec![
            ("input_tokens", rest),
            ("cache_creation_input_tokens", created.to_string()),
            ("cache_creation", split),
            ("cache_read_input_tokens", cached_input.to_string()),
            ("output_tokens", output),
        ])
    }

    pub(super) fn messages_answer(&mut self) {
        self.answer.usage.reasoning = 0;
        let usage = self.message_usage(self.answer.usage.output);
        let text = self.output();
        let block = self.object(vec![("type", "\"text\"".to_owned()), ("text", text)]);
        let kind = ("type", "\"message\"".to_owned());
        let document = self.document(vec![kind, ("content", list(&[block])), ("usage", usage)]);
        self.send("", &document);
    }

    pub(super) fn messages_events(&mut self) {
        self.answer.usage.reasoning = 0;
        let output = self.answer.usage.output;
        let usage = self.message_usage(output.min(1));
        let message = self.object(vec![("usage", usage), ("content", "[]".to_owned())]);
        let kind = ("type", "\"message_start\"".to_owned());
        let document = self.document(vec![kind, ("message", message)]);
        self.send("message_start", &document);
        for _ in 0..=self.random.below(4) {
            let key = self.random.pick(&["text", "thinking", "partial_json"]);
            let text = self.output();
            let delta = self.object(vec![(key, text), ("type", "\"x_delta\"".to_owned())]);
            let kind = ("type", "\"content_block_delta\"".to_owned());
            let document = self.document(vec![kind, ("delta", delta)]);
            self.send_delta("content_block_delta", &document);
        }
        let whole = self.random.one_in(2);
        let number = self.number(output);
        let usage = if whole {
            self.message_usage(output)
        } else {
            self.object(vec![("output_tokens", number), ("input_tokens", "null".to_owned())])
        };
        let kind = ("type", "\"message_delta\"".to_owned());
        let document = self.document(vec![kind, ("usage", usage), ("delta", "{}".to_owned())]);
        self.send("message_delta", &document);
        self.send("message_stop", "{\"type\":\"message_stop\"}");
    }

    pub(super) fn ollama(&mut self, endpoint: Endpoint) {
        self.answer.usage.cached_input = 0;
        self.answer.usage.reasoning = 0;
        if self.random.one_in(8) {
            self.answer.usage.input = 0;
        }
        let Usage { input, output, .. } = self.answer.usage;
        let mut last = vec![("done", "true".to_owned()), ("eval_count", self.number(output))];
        if input > 0 {
            last.push(("prompt_eval_count", self.number(input)));
        }
        if self.format == Format::Ndjson {
            for _ in 0..=self.random.below(4) {
                let member = self.ollama_text(endpoint);
                let document = self.document(vec![member, ("done", "false".to_owned())]);
                self.send_delta("", &document);
            }
        } else {
            last.push(self.ollama_text(endpoint));
        }
        let document = self.document(last);
        self.send("", &document);
    }

    fn ollama_text(&mut self, endpoint: Endpoint) -> (&'static str, String) {
        let thinks = self.random.one_in(3);
        let text = self.output();
        match (endpoint, thinks) {
            (Endpoint::OllamaGenerate, true) => ("thinking", text),
            (Endpoint::OllamaGenerate, false) => ("response", text),
            (_, true) => ("message", self.object(vec![("thinking", text)])),
            (_, false) => ("message", self.object(vec![("content", text)])),
        }
    }

    pub(super) fn ollama_embedding(&mut self) {
        self.answer.usage = Usage { input: self.answer.usage.input, ..Usage::default() };
        let count = self.number(self.answer.usage.input);
        let embeddings = "[[0.1,2],[-3e-7]]".to_owned();
        let document =
            self.document(vec![("embeddings", embeddings), ("prompt_eval_count", count)]);
        self.send("", &document);
    }

    pub(super) fn tgi(&mut self) {
        self.answer.usage.cached_input = 0;
        self.answer.usage.reasoning = 0;
        let generated = ("generated_tokens", self.number(self.answer.usage.output));
        if self.format == Format::Sse {
            for _ in 0..=self.random.below(4) {
                let text = self.output();
                let token = self.object(vec![("text", text), ("special", "false".to_owned())]);
                let (text, details) = ("generated_text", "details");
                let null = || "null".to_owned();
                let members = vec![("token", token), (text, null()), (details, null())];
                let document = self.document(members);
                self.send_delta("x", &document);
            }
            let input = ("input_length", self.number(self.answer.usage.input));
            let details = self.object(vec![generated, input]);
            let text = self.noise();
            let text = ("generated_text", self.string(&text));
            let document = self.document(vec![text, ("details", details)]);
            self.send("x", &document);
            return;
        }
        self.answer.usage.input = 1 + self.random.count(20);
        let token = "{\"id\":1,\"text\":\"a\",\"generated_tokens\":99}".to_owned();
        let prefill: Vec<_> = (0..self.answer.usage.input).map(|_| token.clone()).collect();
        let details = self.object(vec![generated, ("prefill", list(&prefill))]);
        let text = self.output();
        let document = self.document(vec![("generated_text", text), ("details", details)]);
        let document = if self.random.one_in(2) { list(&[document]) } else { document };
        self.send("", &document);
    }
}
