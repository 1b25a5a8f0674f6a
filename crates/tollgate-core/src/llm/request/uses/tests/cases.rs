//! Bodies in each dialect.

use crate::llm::Endpoint;

/// Bodies of a form, and what they use.
pub(super) const CASES: &[(Endpoint, &str, &str)] = &[
    (
        Endpoint::Chat,
        r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.5,"stop":["a"]}"#,
        "",
    ),
    // What says nothing is no use.
    (
        Endpoint::Chat,
        r#"{"tools":null,"functions":[],"logprobs":false,"top_logprobs":0,"response_format":null}"#,
        "",
    ),
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"text"},"chat_template":"","priority":0,"store":false}"#,
        "",
    ),
    (
        Endpoint::Chat,
        r#"{"logit_bias":{},"min_tokens":0,"ignore_eos":false,"kv_transfer_params":null,"lora":[]}"#,
        "",
    ),
    (Endpoint::Chat, r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#, "tools"),
    (Endpoint::Chat, r#"{"functions":[{"name":"f"}]}"#, "tools"),
    (Endpoint::Chat, r#"{"messages":[{"role":"system","tools":[{"function":{}}]}]}"#, "tools"),
    (Endpoint::Chat, r#"{"web_search_options":{"search_context_size":"low"}}"#, "server_tools"),
    (
        Endpoint::Responses,
        r#"{"input":"x","tools":[{"type":"function","name":"f"},{"type":"custom"}]}"#,
        "tools",
    ),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"mcp","server_url":"http://10.0.0.1/"}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Responses, r#"{"tools":[{"type":"web_search_preview"}]}"#, "tools server_tools"),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"namespace","tools":[{"type":"file_search"}]}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Messages, r#"{"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#, "tools"),
    (Endpoint::Messages, r#"{"tools":[{"type":"bash_20250124","name":"bash"}]}"#, "tools"),
    (
        Endpoint::Messages,
        r#"{"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}"#,
        "tools server_tools",
    ),
    (Endpoint::Messages, r#"{"mcp_servers":[{"type":"url","url":"http://x"}]}"#, "server_tools"),
    // Media, and what has to be fetched.
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"image_url":"file:///etc/passwd"}]}]}"#,
        "media remote_media",
    ),
    (Endpoint::Chat, r#"{"messages":[{"content":[{"image_url":null,"uuid":"abc"}]}]}"#, "sessions"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"image_url":{"url":"data:,","content_hash":"sha256:00","detail":"low"}}]}]}"#,
        "media sessions",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"image_data":[{"url":"data:,","content_hash":"sha256:00"}]}"#,
        "media sessions",
    ),
    (Endpoint::Chat, r#"{"session_id":"x"}"#, "sessions"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"image_url":{"url":"data:,","max_dynamic_patch":400}}]}]}"#,
        "media media_options",
    ),
    // vLLM's tensors are told by the kind of the part.
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"data":"AA","type":"prompt_embeds"}]}]}"#,
        "embeds",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"redacted_thinking","data":"AA"}]}]}"#,
        "",
    ),
    // Variables of a stored prompt have names of the operator's own.
    (
        Endpoint::Responses,
        r#"{"prompt":{"id":"p","variables":{"input":{"type":"input_image","image_url":"http://x/"}}}}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"prompt":{"id":"p","variables":{"role":{"type":"input_image","image_url":"http://x/"},"tools":"x"}}}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"video_url":{"url":"https://x/v.mp4"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"audio_url":{"url":"ftp://x/"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"input_audio":{"data":"UklGR","format":"wav"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"input_image":{"url":"https://x/a.png"}}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"input_file","file_data":"AA"}]}]}"#,
        "media",
    ),
    (Endpoint::Chat, r#"{"messages":[{"content":[{"file":"AA"}]}]}"#, "media"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"video":"https://x/v.mp4"}]}]}"#,
        "media remote_media",
    ),
    (Endpoint::Chat, r#"{"messages":[{"content":[{"file":{"file_id":"file-1"}}]}]}"#, "media"),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"file":{"file_data":"data:;base64,AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Chat,
        r#"{"messages":[{"content":[{"type":"image_embeds","image_embeds":"AA"}]}]}"#,
        "embeds",
    ),
    // What a tool was called with, is no medium.
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"tool_use","input":{"image_url":"http://x"}}]}]}"#,
        "",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"tool_result","content":[{"source":{"url":"http://x","type":"url"}}]}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"document","source":{"data":"some text","type":"text"}}]}]}"#,
        "",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}"#,
        "media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x/"}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x/a.pdf"}]}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"type":"computer_call_output","output":{"image_url":"http://x"}}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"content":[{"type":"output_text","annotations":[{"type":"url_citation","url":"http://x"}]}]}]}"#,
        "",
    ),
    (
        Endpoint::OllamaChat,
        r#"{"messages":[{"role":"user","content":"x","images":["iVBO"]}]}"#,
        "media",
    ),
    (Endpoint::OllamaGenerate, r#"{"prompt":"x","images":[]}"#, ""),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","image_data":"/etc/passwd.png"}"#,
        "media remote_media",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","image_data":["data:image/png;base64,AA"]}"#,
        "media",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"text":"x","video_data":[["http://x/"]]}"#,
        "media remote_media",
    ),
    (Endpoint::Embeddings, r#"{"input":[{"text":"x","image":"http://x/"}]}"#, "media remote_media"),
    (
        Endpoint::Score,
        r#"{"data_1":{"content":[{"image_url":{"url":"http://x"}}]}}"#,
        "media remote_media",
    ),
    (Endpoint::Pooling, r#"{"data":"https://x/a.tiff"}"#, "media remote_media"),
    (
        Endpoint::Pooling,
        r#"{"data":{"data":"/etc/x.tiff","data_format":"path","image_format":"tiff"}}"#,
        "media remote_media",
    ),
    (Endpoint::Pooling, r#"{"data":[["/etc/x.tiff"]]}"#, "media remote_media"),
    (Endpoint::Pooling, r#"{"data":{"of_a_plugin":"/etc/x"}}"#, "media remote_media"),
    (Endpoint::Pooling, r#"{"data":{"data":"data:image/tiff;base64,AA","indices":[1]}}"#, "media"),
    (Endpoint::Pooling, r#"{"data":{"data_format":"path"}}"#, ""),
    // A template may write the role into the prompt, out of which TGI takes pictures.
    (
        Endpoint::TgiGenerate,
        r#"{"inputs":"x","messages":[{"role":"![](http://x)"}]}"#,
        "media remote_media",
    ),
    (
        Endpoint::TgiGenerate,
        r#"{"messages":[{"role":"![](ht","content":"tp://x)"}]}"#,
        "media remote_media",
    ),
    (Endpoint::TgiGenerate, r#"{"messages":[{"type":"![](http://x)"}]}"#, "media remote_media"),
    (Endpoint::TgiGenerate, r#"{"messages":[{"role":"user","content":"Hi!"}]}"#, ""),
    (
        Endpoint::SglangGenerate,
        r#"{"image_data":[{"format":"precomputed_embedding","feature":[[0.5]]}]}"#,
        "media embeds",
    ),
    (
        Endpoint::SglangGenerate,
        r#"{"video_data":{"pixel_values":[1],"format":"processor_output"}}"#,
        "media embeds",
    ),
    // Whose shell it is, is for its environment to say.
    (Endpoint::Responses, r#"{"tools":[{"type":"shell"}]}"#, "tools"),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"shell","environment":{"type":"local"}}]}"#,
        "tools",
    ),
    (
        Endpoint::Responses,
        r#"{"tools":[{"environment":{"type":"container_auto"},"type":"shell"}]}"#,
        "tools server_tools",
    ),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"shell","environment":{"type":"local","type":"container_reference"}}]}"#,
        "tools server_tools",
    ),
    (
        Endpoint::Responses,
        r#"{"tools":[{"type":"computer_use_preview","environment":"browser"}]}"#,
        "tools",
    ),
    (Endpoint::Responses, r#"{"tools":[{"type":["mcp"]}]}"#, "tools server_tools"),
    (
        Endpoint::Messages,
        r#"{"tools":[{"type":"bash_code_execution_20250825"}]}"#,
        "tools server_tools",
    ),
    (
        Endpoint::LlamaCompletion,
        r#"{"prompt":{"prompt_string":"x","multimodal_data":["iVBO"]}}"#,
        "media",
    ),
    (Endpoint::TgiGenerate, r#"{"inputs":"![](http://169.254.169.254/)x"}"#, "media remote_media"),
    (Endpoint::TgiGenerate, r#"{"inputs":"![](data:image/png;base64,AA)x"}"#, ""),
    (Endpoint::TgiGenerate, r#"{"inputs":"!\u005b](http\u003a//x)"}"#, "media remote_media"),
    // The output.
    (Endpoint::Chat, r#"{"logprobs":true}"#, "logprobs"),
    (Endpoint::Completions, r#"{"prompt":"x","logprobs":0}"#, "logprobs"),
    (Endpoint::Completions, r#"{"prompt":"x","echo":true,"prompt_logprobs":0}"#, "logprobs echo"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","n_probs":3}"#, "logprobs"),
    (Endpoint::Responses, r#"{"include":["message.output_text.logprobs"]}"#, "logprobs"),
    (Endpoint::Responses, r#"{"include":["reasoning.encrypted_content"]}"#, ""),
    (Endpoint::TgiGenerate, r#"{"inputs":"x","parameters":{"top_n_tokens":5}}"#, "logprobs"),
    (Endpoint::TgiGenerate, r#"{"inputs":"x","parameters":{"return_full_text":true}}"#, "echo"),
    (Endpoint::SglangGenerate, r#"{"text":"x","return_logprob":[true]}"#, "logprobs"),
    (Endpoint::SglangGenerate, r#"{"text":"x","return_hidden_states":true}"#, "hidden_states"),
    (Endpoint::Chat, r#"{"response_format":{"type":"json_object"}}"#, "guided_decoding"),
    // Go reads either, and Python the last one.
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"text","TYPE":"json_schema"}}"#,
        "guided_decoding",
    ),
    (
        Endpoint::Chat,
        r#"{"response_format":{"type":"json_schema","type":"text"}}"#,
        "guided_decoding",
    ),
    (Endpoint::Chat, r#"{"response_format":{"schema":{}}}"#, "guided_decoding"),
    (Endpoint::Chat, r#"{"guided_regex":"(a+)+"}"#, "guided_decoding"),
    (Endpoint::Chat, r#"{"structured_outputs":{"json":{}}}"#, "guided_decoding"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","grammar":"root ::= x"}"#, "guided_decoding"),
    (Endpoint::Responses, r#"{"text":{"format":{"type":"json_schema"}}}"#, "guided_decoding"),
    (Endpoint::Responses, r#"{"text":{"format":{"type":"text"},"verbosity":"low"}}"#, ""),
    (
        Endpoint::Messages,
        r#"{"output_config":{"format":{"type":"json_schema"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::OllamaChat, r#"{"format":"json"}"#, "guided_decoding"),
    (Endpoint::OllamaChat, r#"{"format":"","options":{"num_predict":5}}"#, ""),
    (
        Endpoint::TgiGenerate,
        r#"{"parameters":{"grammar":{"type":"regex","value":"a"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::SglangGenerate, r#"{"sampling_params":{"regex":"a"}}"#, "guided_decoding"),
    (Endpoint::SglangGenerate, r#"{"sampling_params":[{"json_schema":"{}"}]}"#, "guided_decoding"),
    (
        Endpoint::TokenGenerate,
        r#"{"sampling_params":{"structured_outputs":{"regex":"a"}}}"#,
        "guided_decoding",
    ),
    (Endpoint::Chat, r#"{"logit_bias":{"1":5}}"#, "logit_bias"),
    (Endpoint::SglangGenerate, r#"{"custom_logit_processor":"80049"}"#, "logits_processors"),
    (Endpoint::Chat, r#"{"use_beam_search":true,"ignore_eos":true}"#, "beam_search forced_output"),
    // The engine.
    (
        Endpoint::Chat,
        r#"{"chat_template_kwargs":{"enable_thinking":false}}"#,
        "chat_template_kwargs",
    ),
    (
        Endpoint::Chat,
        r#"{"chat_template_kwargs":{"tokenize":true}}"#,
        "chat_template_kwargs chat_template",
    ),
    (Endpoint::Chat, r#"{"chat_template":"{{ 1 }}"}"#, "chat_template"),
    (Endpoint::OllamaGenerate, r#"{"prompt":"x","template":"{{ .Prompt }}"}"#, "chat_template"),
    (Endpoint::TgiGenerate, r#"{"parameters":{"adapter_id":"x"}}"#, "lora"),
    (Endpoint::Chat, r#"{"lora":[{"id":0,"scale":1}]}"#, "lora"),
    (Endpoint::Chat, r#"{"priority":-1}"#, "priority"),
    (Endpoint::Chat, r#"{"service_tier":"auto"}"#, ""),
    (Endpoint::Chat, r#"{"service_tier":"priority"}"#, "priority"),
    (Endpoint::Responses, r#"{"store":true}"#, "store"),
    (Endpoint::Responses, r#"{"previous_response_id":"r"}"#, "store"),
    (Endpoint::SglangGenerate, r#"{"session_params":{"id":"x"}}"#, "sessions"),
    (Endpoint::Chat, r#"{"request_id":"x"}"#, "request_ids"),
    (Endpoint::LlamaCompletion, r#"{"prompt":"x","id_slot":0}"#, "slots"),
    (Endpoint::OllamaChat, r#"{"keep_alive":0}"#, "load_options"),
    (Endpoint::OllamaChat, r#"{"options":{"num_ctx":100000}}"#, "load_options"),
    (Endpoint::Chat, r#"{"kv_transfer_params":{"remote_host":"x"}}"#, "internals"),
    (Endpoint::SglangGenerate, r#"{"bootstrap_host":"10.0.0.1"}"#, "internals"),
    (Endpoint::Completions, r#"{"prompt_embeds":"AA"}"#, "embeds"),
];
