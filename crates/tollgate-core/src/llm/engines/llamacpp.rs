//! llama.cpp's server.

use super::row::{rows, Table};

pub(super) static TABLE: Table = Table {
    version: "llama-server of llama.cpp b11549, as it runs, and the source of b11434",
    rows: rows! {
        POST "/v1/chat/completions" Generates(Chat) as Chat: "OpenAI chat";
        POST "/chat/completions" Generates(Chat) as Chat: "OpenAI chat";
        POST "/api/chat" Generates(Chat) as Chat: "OpenAI chat, in older versions";
        POST "/v1/completions" Generates(Completions) as Completions: "OpenAI completions";
        POST "/completion" Generates(Completions) as LlamaCompletion: "its own completions";
        POST "/completions" Generates(Completions) as LlamaCompletion: "its own completions, and not OpenAI's";
        POST "/infill" Generates(Completions) as LlamaInfill: "fills in code";
        POST "/v1/responses" Generates(Responses) as Responses: "OpenAI responses";
        POST "/responses" Generates(Responses) as Responses: "OpenAI responses";
        POST "/v1/messages" Generates(Chat) as Messages: "Anthropic messages";
        POST "/v1/embeddings" Prefill(Embeddings) as Embeddings: "OpenAI embeddings";
        POST "/embedding" Prefill(Embeddings) as LlamaEmbedding: "its own embeddings";
        POST "/embeddings" Prefill(Embeddings) as LlamaEmbedding: "its own embeddings, and not OpenAI's";
        POST "/rerank" Prefill(Rerank) as Rerank: "documents in the order of their relevance";
        POST "/reranking" Prefill(Rerank) as Rerank: "the same";
        POST "/v1/rerank" Prefill(Rerank) as Rerank: "the same";
        POST "/v1/reranking" Prefill(Rerank) as Rerank: "the same";
        POST "/predict" Generates(Chat): "Vertex AI: any of these, by \"@requestFormat\"";
        POST "/v1/systemone" Generates(Chat): "structured decisions";
        POST "/v1/audio/transcriptions" Generates(Audio): "speech to text";
        POST "/audio/transcriptions" Generates(Audio): "speech to text";
        POST "/tokenize" Counts(Tokenize): "text to token ids";
        POST "/detokenize" Counts(Tokenize): "token ids to text";
        POST "/apply-template" Counts(Tokenize): "template of a chat";
        POST "/v1/chat/completions/input_tokens" Counts(Tokenize): "token count of a chat";
        POST "/chat/completions/input_tokens" Counts(Tokenize): "token count of a chat";
        POST "/v1/responses/input_tokens" Counts(Tokenize): "token count of responses";
        POST "/responses/input_tokens" Counts(Tokenize): "token count of responses";
        POST "/v1/messages/count_tokens" Counts(Tokenize): "token count of messages";
        GET "/" Reads(Models): "web page";
        GET "/health" Reads(Models): "health";
        GET "/v1/health" Reads(Models): "health";
        GET "/models" Reads(Models): "models";
        GET "/v1/models" Reads(Models): "models";
        GET "/metrics" Info: "metrics of all clients";
        GET "/props" Info: "settings, template, path of the model";
        GET "/lora-adapters" Info: "adapters";
        GET "/models/sse" Info: "events about models";
        GET "/slots" Others: "what runs, of all clients";
        GET DELETE "/v1/stream" Others: "goes on with, or ends, a stream of anybody";
        POST "/v1/streams/lookup" Others: "streams of anybody";
        POST "/v1/chat/completions/control" Others: "controls a chat of anybody";
        POST "/slots/{id}" Admin: "erases, saves, restores the cache of a slot";
        POST "/props" Admin: "changes settings";
        POST "/lora-adapters" Admin: "scales adapters, for everybody";
        GET POST "/cors-proxy" Admin: "a proxy to any URL";
        GET POST "/tools" Admin: "files and a shell";
        POST DELETE "/models" Admin: "adds or removes a model";
        POST "/models/load" Admin: "loads a model";
        POST "/models/unload" Admin: "unloads a model";
    },
};
