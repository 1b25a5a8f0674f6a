#!/usr/bin/perl

# What nginx -t refuses of zones, tiers, limits, prices, and of what says how requests are metered.
# Beside each thing that is refused stands one like it that is accepted.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http limit_req proxy rewrite/);
my $dir = $t->testdir();

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('included.conf', "\ntokens 1k/m;\n");
$t->write_file('secret', 's' x 32);

# Cases of Tollgate::Conf.
my (@refused, @accepted, @warned);

# Rows: what is wrong, parts of the message, and what is right instead, unless that stands in another
# row.
use constant NOTHING => undef;

###############################################################################
# in a tier

my $tokens_form = 'must be a number of tokens with a period: 500/s, 200k/m, 50000/h or 1m/d';
my $price = 'default_price input=1 output=2;';

my @tier = (
	['allow;', ['invalid number of arguments in "allow"'], 'allow tools media;'],
	['allow tool;', ['"tollgate_tier x": unknown feature "tool" in "allow"', 'known are tools, server_tools'], NOTHING],
	['deny Tools;', ['unknown feature "Tools" in "deny"'], 'deny tools;'],
	['allow priority; deny priority;', ['"priority" is both allowed and denied', 'keep one'], 'allow priority;'],
	['deny lora lora;', ['"deny lora" is said twice'], 'deny lora;'],
	['deny media; allow remote_media;', ['"allow remote_media" has no effect beside "deny media"'],
		'allow media; allow remote_media;'],
	['deny tools; max_tools 5;', ['"max_tools" has no effect beside "deny tools"'], 'max_tools 5;'],
	['max_output_tokens 0;', ['"max_output_tokens" takes 1 or more'], 'max_output_tokens 1;'],
	['max_output_tokens 5 trim;', ['"max_output_tokens 5 trim"', '"clamp" or "refuse"'], 'max_output_tokens 4k refuse;'],
	['max_output_tokens 5; max_output_tokens 6;', ['"max_output_tokens" is given twice'], 'max_output_tokens 5 clamp;'],
	['max_n 0;', ['"max_n 1" is the least'], 'max_n 1;'],
	['max_n x;', ['invalid number "x" of "max_n"', '4096 or 8k'], NOTHING],
	['max_n -1;', ['invalid number "-1" of "max_n"'], NOTHING],
	['max_input_tokens 1000000001;', ['"1000000001" of "max_input_tokens"', 'up to 1000000000'],
		'max_input_tokens 1000000000;'],
	['max_messages 1 2;', ['"max_messages" takes one number'], 'max_messages 2;'],
	['max_schema_bytes 1.5k;', ['invalid number "1.5k" of "max_schema_bytes"'], 'max_schema_bytes 16k;'],
	['unknown_members off;', ['invalid value "off" of "unknown_members"', '"strip"'], 'unknown_members strip;'],
	['model gemma { deny tools; }', ['"deny" directive is not allowed here'], 'model gemma { requests 1r/m; }'],
	['requests;', ['invalid number of arguments in "requests"'], 'requests 10r/m;'],
	['requests 10;', ['"tollgate_tier x": invalid rate "10" of "requests"', '100r/m'], NOTHING],
	['requests 10r/w;', ['invalid rate "10r/w" of "requests"', '5000r/d'], 'requests 10r/d;'],
	['requests -1r/s;', ['invalid rate "-1r/s" of "requests"'], NOTHING],
	['requests +1r/s;', ['invalid rate "+1r/s" of "requests"'], NOTHING],
	['requests 1.5r/s;', ['invalid rate "1.5r/s" of "requests"'], 'requests 15r/s;'],
	['requests 1k/m;', ['invalid rate "1k/m" of "requests"', '100r/m'], 'requests 1000r/m;'],
	['requests 0r/s;', ['invalid rate "0r/s"', 'must not be zero', 'disable its key'], NOTHING],
	['requests 99999999999r/s;', ['"99999999999r/s"', 'too large', 'at most 10000000 a second'],
		'requests 10000000r/s;'],
	['requests 1r/m burst=0;', ['"burst=" must not be zero'], 'requests 1r/m burst=1;'],
	['requests 1r/m burst=x;', ['"burst=" must be a whole number'], NOTHING],
	['requests 1r/d burst=1000;', ['"burst=" is too large', 'a year'], 'requests 1r/d burst=300;'],
	['requests 1r/m nodelay;', ['invalid parameter "nodelay" of "requests"', '"burst=N"'], NOTHING],
	['requests 1r/m burst=2 burst=3;', ['"requests" takes a rate and optionally a burst'], NOTHING],
	['requests 1r/m; requests 2r/m;', ['"requests" is given twice', '"r/m"', 'keep one'],
		'requests 1r/m; requests 2r/d;'],

	['tokens;', ['invalid number of arguments in "tokens"'], 'tokens 200k/m;'],
	['tokens 200k;', ['"tollgate_tier x": invalid rate "200k" of "tokens"', $tokens_form],
		'tokens 1m/d;'],
	['tokens 200K/m;', ['invalid rate "200K/m" of "tokens"', 'k is a thousand'], 'tokens 200000/h;'],
	['tokens 1g/m;', ['invalid rate "1g/m" of "tokens"', 'm a million'], 'tokens 600m/m;'],
	['tokens 1.5k/m;', ['invalid rate "1.5k/m" of "tokens"'], 'tokens 1500/m;'],
	['tokens 100r/m;', ['invalid rate "100r/m" of "tokens"', $tokens_form], 'tokens 100/m;'],
	['tokens 0k/m;', ['invalid rate "0k/m" of "tokens"', 'must not be zero'], NOTHING],
	['tokens 11m/s;', ['invalid rate "11m/s" of "tokens"', 'at most 10000000 a second'],
		'tokens 10m/s;'],
	['tokens 1k/m burst=0;', ['invalid rate "1k/m" of "tokens"', '"burst=" must not be zero'],
		'tokens 1k/m burst=1;'],
	['tokens 1k/m burst=1.5m;', ['"burst=" must be a whole number such as 50000, 400k or 1m'],
		'tokens 1k/m burst=400k;'],
	['tokens 1k/d burst=1m;', ['"burst=" is too large', 'a year'], 'tokens 1k/d burst=300k;'],
	['tokens 1k/m queue=3;', ['invalid parameter "queue=3" of "tokens"', '"burst=N"'], NOTHING],
	['tokens 1k/m; tokens 2k/m;', ['"tokens" is given twice', '"/m"', 'keep one'],
		'tokens 1k/s; tokens 2k/m; tokens 3k/h; tokens 4k/d;'],
	['tokens 1k/m cached=charged;', ['invalid value "charged" of "cached=" of "tokens"', '"free"'],
		'tokens 1k/m cached=free burst=2k; input_tokens 1k/m burst=2k cached=free;'],
	['tokens 1k/m cached=free cached=free;', ['invalid parameter "cached=free" of "tokens"', 'each once'], NOTHING],
	['output_tokens 1k/m cached=free;', ['"cached=free" of "output_tokens" has no effect',
		'belongs to "tokens" or "input_tokens"'], 'model a { tokens 1k/m cached=free; }'],
	['requests 1r/m cached=free;', ['"cached=free" of "requests" has no effect'], NOTHING],
	['concurrency 1 cached=free;', ['invalid parameter "cached=free" of "concurrency"'], NOTHING],
	['input_tokens 1k;', ['invalid rate "1k" of "input_tokens"', $tokens_form], 'input_tokens 1k/m;'],
	['output_tokens 1k/w;', ['invalid rate "1k/w" of "output_tokens"', $tokens_form],
		'tokens 2k/m; input_tokens 1k/m; output_tokens 1k/m;'],

	['concurrency;', ['invalid number of arguments in "concurrency"'], 'concurrency 1;'],
	['concurrency 0;', ['"tollgate_tier x": invalid number "0" of "concurrency"', '1 to 32767'], NOTHING],
	['concurrency 32768;', ['invalid number "32768" of "concurrency"', '1 to 32767'],
		'concurrency 32767;'],
	['concurrency 1r/s;', ['invalid number "1r/s" of "concurrency"'], NOTHING],
	['concurrency 8 queue=0;', ['invalid "queue=0" of "concurrency"', '1 to 32767'],
		'concurrency 8 queue=1;'],
	['concurrency 8 queue=16 timeout=0;', ['invalid "timeout=0" of "concurrency"', '1ms to 1h'],
		'concurrency 8 queue=16 timeout=1ms;'],
	['concurrency 8 queue=16 timeout=2h;', ['invalid "timeout=2h" of "concurrency"', '1ms to 1h'],
		'concurrency 8 timeout=1h queue=16;'],
	['concurrency 8 timeout=5s;', ['"timeout=" of "concurrency" has no effect without "queue=N"'],
		'concurrency 8 queue=32767 timeout=5s;'],
	['concurrency 8 queue=1 queue=2;', ['invalid parameter "queue=2"', 'each once'], NOTHING],
	['concurrency 8 burst=1;', ['invalid parameter "burst=1" of "concurrency"', '"queue=N"'], NOTHING],
	['concurrency 8; concurrency 9;', ['"concurrency" is given twice', 'keep one'], NOTHING],

	["budget; $price", ['invalid number of arguments in "budget"'], "budget 20/day; $price"],
	["budget 20; $price", ['"tollgate_tier x": invalid amount "20" of "budget"', '20/day'], NOTHING],
	["budget 20/week; $price", ['"20/week" of "budget"', '0.50/hour, 20/day or 100/month'],
		"budget 20/month; $price"],
	["budget 0/day; $price", ['"0/day" of "budget"', 'must not be zero'],
		"budget 0.000000001/day; $price"],
	["budget -1/day; $price", ['"-1/day" of "budget"', 'without a sign'], NOTHING],
	["budget EUR20/day; $price", ['"EUR20/day" of "budget"', 'without a sign, a currency'],
		"budget 20.50/day; $price"],
	["budget 0.0000000001/day; $price", ['"0.0000000001/day" of "budget"', 'at most 9'], NOTHING],
	["budget 70369/hour; $price", ['"70369/hour" of "budget"', 'at most 70368'],
		"budget 70368/hour; $price"],
	["budget 20/day burst=5; $price", ['invalid parameter "burst=5" of "budget"', 'no parameters'],
		NOTHING],
	["budget 20/day; budget 5/day; $price", ['"budget" is given twice', 'keep one'],
		"budget 1/hour; budget 20/day; budget 100/month; $price"],
	# Every request would be refused.
	['budget 20/day;', ['"budget" of "tollgate_tier x"', 'needs prices', 'add "tollgate_price MODEL'],
		NOTHING],
	['model a { budget 20/day; }', ['"budget" of "tollgate_tier x"', 'needs prices'],
		"model a { budget 20/day; } $price"],

	['default_price input=1;', ['"tollgate_tier x": "default_price"', '"output=" is missing', 'output=0'],
		'default_price input=1 output=0;'],
	['default_price input=1 output=2 cached_input=3;', ['"cached_input=" is more than "input="'],
		'default_price input=1 output=2 cached_input=1;'],
	['default_price input=1 output=2 above=200k output=3;', ['"tollgate_tier x": "default_price"',
		'"input=" is missing'], 'default_price input=1 output=2 above=200k input=2 output=3;'],
	["$price $price", ['"default_price" directive is duplicate'], NOTHING],

	['model a { }', ['"tollgate_tier x": "model a" limits nothing', 'tokens 20k/m;'], 'model a { tokens 20k/m; }'],
	['model a { tokens 1k/m; } model a { tokens 2k/m; }', ['"model a" is never reached', 'put it before'],
		'model a { tokens 1k/m; } model b { tokens 2k/m; }'],
	['model a* { tokens 1k/m; } model ab { tokens 2k/m; }',
		['"model ab" is never reached', '"model a*" before it', 'put it before that one'],
		'model ab { tokens 2k/m; } model a* { tokens 1k/m; }'],
	['model "" { tokens 1k/m; }', ['invalid pattern "" of "model"', '"*" stands for all models'],
		'model * { tokens 1k/m; }'],
	# Other kinds of patterns, by which no model would be meant.
	['model ~^llama { tokens 1k/m; }', ['"tollgate_tier x"', 'invalid pattern "~^llama" of "model"',
		'looks like a regular expression', '"llama-*"'], 'model llama* { tokens 1k/m; }'],
	['model .* { tokens 1k/m; }', ['invalid pattern ".*" of "model"', 'regular expression'],
		'model qwen2.* { tokens 1k/m; }'],
	['model llama$ { tokens 1k/m; }', ['invalid pattern "llama$" of "model"', 'regular expression'], NOTHING],
	['model llama|qwen { tokens 1k/m; }', ['"llama|qwen" of "model"', 'a directive of its own'],
		'model llama { tokens 1k/m; } model qwen { tokens 1k/m; }'],
	['model llama,qwen { tokens 1k/m; }', ['"llama,qwen" of "model"', 'a directive of its own'], NOTHING],
	['model llama-[38]b { tokens 1k/m; }', ['"llama-[38]b" of "model"', '"?" stands for'],
		'model llama-?b { tokens 1k/m; }'],
	['model $tollgate_model { tokens 1k/m; }', ['"$tollgate_model" of "model"', 'variables'], NOTHING],
	['model "llama " { tokens 1k/m; }', ['"llama " of "model"', 'a blank'], 'model "my llama" { tokens 1k/m; }'],
	[q!model "'llama'" { tokens 1k/m; }!, ['of "model"', 'quotes within its quotes'], NOTHING],
	['model llama-3\\\\.1 { tokens 1k/m; }', ['of "model"', 'escapes'],
		'model hf.co/acme/Llama-3.1:Q4_K_M { tokens 1k/m; }'],
	['model !llama { tokens 1k/m; }', ['"!llama" of "model"', 'are not meant'], NOTHING],

	['model { tokens 1k/m; }', ['invalid number of arguments in "model"'], NOTHING],
	['model a;', ['directive "model" has no opening "{"'], NOTHING],
	['model a { model b { tokens 1k/m; } }', ['"model" directive is not allowed here'], NOTHING],
	["model a { $price }", ['"default_price" belongs to the tier', 'use "tollgate_price"'], NOTHING],
	['model a { tokens 0/m; }', ['invalid rate "0/m" of "tokens"'],
		'model a { requests 1r/s; output_tokens 1k/h burst=2k; concurrency 1 queue=2 timeout=3s; }'],
	['model a { tokens 1k/m; tokens 2k/m; }', ['"tokens" is given twice'],
		'tokens 1k/m; model a { tokens 2k/m; }'],

	['models;', ['invalid number of arguments in "models"'], 'models a*;'],
	['models ~^a;', ['"tollgate_tier x": invalid pattern "~^a" of "models"'], 'models a* org/b ?;'],
	['models a,b;', ['"tollgate_tier x": invalid pattern "a,b" of "models"'], 'models a b;'],
	['models $x;', ['"models": "$x"', 'variable'], 'models *;'],
	['models a b a;', ['"tollgate_tier x": "a" stands in "models" twice', 'once is enough'], 'models a b;'],
	['models a; models b;', ['"models" directive is duplicate'], 'models a b;'],
	['model a { models b; }', ['"tollgate_tier x": "models" belongs to the tier'], 'models b; model b { requests 1r/m; }'],
	['default_model a*;', ['"tollgate_tier x": invalid name "a*" in "default_model"', 'without variables and patterns'],
		'default_model a;'],
	['default_model on;', ['invalid name "on"'], 'default_model one;'],
	['default_model a b;', ['invalid number of arguments in "default_model"'], 'default_model "a b";'],
	['models a* b; default_model c;', ['"tollgate_tier x": "default_model c" fits none of "models"', 'add it to "models"'],
		'models a* c; default_model c;'],
	['model a { default_model b; }', ['"tollgate_tier x": "default_model" belongs to the tier'], NOTHING],
	['scopes chats;', ['"tollgate_tier x": unknown scope "chats" in "scopes"', 'known are chat,'],
		'scopes chat admin;'],
	['request 1r/m;', ['unknown directive "request"'], NOTHING],
	['tollgate on;', ['"tollgate" directive is not allowed here'], NOTHING],
	['include included.conf;', ['"include" directive is not allowed here'], NOTHING],
);
for (@tier) {
	my ($wrong, $message, $right) = @$_;
	push @refused, ["tier, '$wrong'", $message, http => "$usual{http}\ntollgate_tier x { $wrong } # !"];
	push @accepted, ["tier, '$right'", http => "$usual{http}\ntollgate_tier x { $right }"] if defined $right;
}

###############################################################################
# in http, with a limit that is applied

my @http = (
	['tollgate_zone tollgate;', ['"tollgate_zone" takes "zone=NAME:SIZE"', 'state=PATH'], NOTHING],
	['tollgate_zone zone=tollgate;', ['"tollgate_zone" takes "zone=NAME:SIZE"'], NOTHING],
	['tollgate_zone zone=:1m;', ['"tollgate_zone" takes "zone=NAME:SIZE"'], NOTHING],
	['tollgate_zone zone=tollgate:big;', ['invalid zone size "big"', '"tollgate_zone" takes'],
		'tollgate_zone zone=tollgate:10m;'],
	['tollgate_zone zone=tollgate:1k;', ['zone "tollgate" is too small', 'at least 64k'],
		'tollgate_zone zone=tollgate:64k;'],
	['tollgate_zone zone=tollgate:1m rate=1r/s;', ['"tollgate_zone" takes "zone=NAME:SIZE"'], NOTHING],
	['tollgate_zone zone=tollgate:1m state=;', ['"tollgate_zone" takes', 'state=PATH'],
		'tollgate_zone zone=tollgate:1m state=state/tollgate;'],
	['tollgate_zone state=state/tollgate;', ['"tollgate_zone" takes "zone=NAME:SIZE"'],
		'tollgate_zone state=state/tollgate zone=tollgate:1m;'],
	['tollgate_zone zone=tollgate:1m; tollgate_zone zone=other:1m;',
		['"tollgate_zone" directive is duplicate', 'share one zone'], NOTHING],
	['limit_req_zone $uri zone=tollgate:1m rate=1r/s; tollgate_zone zone=tollgate:1m;',
		['tollgate', 'cannot add the zone'],
		'limit_req_zone $uri zone=requests:1m rate=1r/s; tollgate_zone zone=tollgate:1m;'],

	['tollgate_tier "" { }', ['invalid tier name ""'], 'tollgate_tier "a b" { }'],
	['tollgate_tier "a " { }', ['invalid tier name "a "'], NOTHING],
	['tollgate_tier free;', ['directive "tollgate_tier" has no opening "{"'], NOTHING],
	['tollgate_tier free { }', ['the tier "free" is declared twice', 'keep one'], NOTHING],
	['tollgate_tier x { tollgate_tier y { } }', ['"tollgate_tier" directive is not allowed here'],
		'tollgate_tier x { } tollgate_tier y { }'],
	# What belongs into a tier.
	map({ [$_, [/^(\w+)/ && "\"$1\" directive is not allowed here"], "tollgate_tier x { $_ $price }"] }
		'requests 1r/s;', 'tokens 1k/m;', 'input_tokens 1k/m;', 'output_tokens 1k/m;', 'concurrency 1;',
		'budget 1/day;', 'model a { tokens 1k/m; }'),
	['default_price input=1 output=1;', ['"default_price" directive is not allowed here'], NOTHING],

	['tollgate_limit;', ['invalid number of arguments in "tollgate_limit"'], NOTHING],
	['tollgate_limit x requests=1r/s;', ['"tollgate_limit" needs a "key="', 'key=$binary_remote_addr'],
		NOTHING],
	['tollgate_limit x key= requests=1r/s;', ['invalid parameter "key=" of "tollgate_limit"'], NOTHING],
	['tollgate_limit x key=a;', ['limit "x" limits nothing', 'add "requests="'], NOTHING],
	['tollgate_limit key=a requests=1r/s;', ['invalid limit name "key=a"', '"tollgate_limit" takes'],
		NOTHING],
	['tollgate_limit x key=a key=b requests=1r/s;', ['invalid parameter "key=b"', 'one "key="'], NOTHING],
	['tollgate_limit x key=a requests=1;', ['invalid rate "1" of "requests"'], NOTHING],
	['tollgate_limit x key=a auth_failures=0r/s;', ['invalid rate "0r/s" of "auth_failures"'], NOTHING],
	['tollgate_limit x key=a burst=3 requests=1r/s;', ['"burst=" belongs behind'], NOTHING],
	['tollgate_limit x key=a requests=1r/s burst=3 burst=4;',
		['"requests" takes a rate and optionally a burst'], NOTHING],
	['tollgate_limit x key=a requests=1r/s nodelay;', ['invalid parameter "nodelay" of "tollgate_limit"'],
		NOTHING],
	['tollgate_limit x key=a requests=1r/s requests=2r/s;', ['"requests" is given twice'], NOTHING],
	['tollgate_limit x key=a tokens=1k;', ['"tollgate_limit"', 'invalid rate "1k" of "tokens"', $tokens_form],
		NOTHING],
	['tollgate_limit x key=a tokens=1k/m queue=3;', ['invalid parameter "queue=3" of "tokens"'], NOTHING],
	['tollgate_limit x key=a queue=3 concurrency=8;', ['"queue=" belongs behind', 'queue=16'], NOTHING],
	['tollgate_limit x key=a timeout=3s concurrency=8;', ['"timeout=" belongs behind'], NOTHING],
	['tollgate_limit x key=a concurrency=8 timeout=3s;', ['has no effect without "queue=N"'], NOTHING],
	['tollgate_limit x key=a concurrency=8 burst=3;', ['invalid parameter "burst=3" of "concurrency"'],
		NOTHING],
	['tollgate_limit x key=a concurrency=0;', ['invalid number "0" of "concurrency"'], NOTHING],
	['tollgate_limit x key=a cached=free tokens=1k/m;', ['"cached=" belongs behind'], NOTHING],
	['tollgate_limit x key=a tokens=1k/m cached=no;', ['invalid value "no" of "cached="'], NOTHING],
	['tollgate_limit x key=a auth_failures=1r/m cached=free;', ['"cached=free" of "auth_failures" has no effect'],
		NOTHING],
	['tollgate_limit x key=a budget=20/week;', ['invalid amount "20/week" of "budget"'], NOTHING],
	['tollgate_limit x key=a model=a;', ['invalid parameter "model=a" of "tollgate_limit"', '"tokens="'],
		NOTHING],
	['tollgate_limit x key=$tollgate_client auth_failures=1r/s;',
		['"auth_failures="', 'count nothing', 'use "key=$binary_remote_addr"'], NOTHING],
	['tollgate_limit x key=a-${tollgate_tier} requests=1r/s auth_failures=1r/s;',
		['"auth_failures="', 'count nothing', 'use "key=$binary_remote_addr"'], NOTHING],
	# What is known too late, and what no two requests share.
	(map { ["tollgate_limit x key=\$$_ requests=1r/s;", ['the limit "x"', "\"\$$_\"", 'isn\'t let in',
		'"key=$tollgate_client"'], NOTHING] } qw/tollgate_decision tollgate_reason tollgate_detail tollgate_input_tokens
		tollgate_output_tokens tollgate_usage tollgate_cost tollgate_ttft tollgate_key_refetch/),
	(map { ["tollgate_limit x key=a-\${$_} requests=1r/s;", ['the limit "x"', "\"\$$_\"",
		'another one with each request'], NOTHING] } qw/tollgate_request_id request_id msec/),
	['tollgate_limit lim key=a requests=1r/s;', ['the limit "lim" is declared twice'], NOTHING],

	['tollgate_price input=1 output=2;', ['"tollgate_price" takes a pattern of model names first'], NOTHING],
	['tollgate_price a;', ['invalid number of arguments in "tollgate_price"'], NOTHING],
	['tollgate_price "" input=1 output=2;', ['invalid pattern "" of "tollgate_price"', '"*" stands for'],
		'tollgate_price * input=1 output=2;'],
	['tollgate_price ~llama input=1 output=2;', ['invalid pattern "~llama" of "tollgate_price"',
		'regular expression', '"llama-*"'], 'tollgate_price llama* input=1 output=2;'],
	['tollgate_price "(a|b)" input=1 output=2;', ['invalid pattern "(a|b)" of "tollgate_price"',
		'a directive of its own'], NOTHING],
	['tollgate_price a input=1;', ['"tollgate_price a"', '"output=" is missing', 'output=0'],
		'tollgate_price a input=1 output=0;'],
	['tollgate_price a output=1 cached_input=0;', ['"input=" is missing', 'input=0'],
		'tollgate_price a cached_input=0 output=1 input=0;'],
	['tollgate_price a input=1 output=x;', ['invalid value "x" of "output="', '0.15'],
		'tollgate_price a input=0.15 output=0.60;'],
	['tollgate_price a input=1,5 output=2;', ['invalid value "1,5" of "input="', 'a decimal number'], NOTHING],
	['tollgate_price a input=1 output=0.0000000001;', ['invalid value "0.0000000001"', 'at most 9'],
		'tollgate_price a input=1 output=0.000000001;'],
	['tollgate_price a input=1 output=2 output=3;', ['"output=" is there twice', 'leave one out'], NOTHING],
	['tollgate_price a input=1 output=2 cached=1;', ['invalid parameter "cached=1"', 'cached_input='],
		'tollgate_price a input=1 output=2 cached_input=1;'],
	['tollgate_price a input=1 output=2 cached_input=2;', ['"cached_input=" is more than "input="'], NOTHING],
	['tollgate_price a input=1 output=2 above=200K input=2 output=3;', ['"tollgate_price a"',
		'invalid value "200K" of "above="', '200k or 128000'],
		'tollgate_price a input=1 output=2 above=32k input=2 output=3 above=128000 input=4 output=3 above=1m '
			. 'input=5 output=5;'],
	['tollgate_price a input=1 output=2 above=200k input=2;', ['"output=" is missing'], NOTHING],
	['tollgate_price a above=200k input=1 output=2;', ['"input=" is missing'], NOTHING],
	['tollgate_price a input=1 output=2 input=2 output=3 above=200k;', ['"input=" is there twice',
		'put "above=TOKENS" before'], NOTHING],
	['tollgate_price a input=1 output=2 above=200k input=2 output=3 above=128k input=3 output=4;',
		['"above=" with 128000 tokens', 'put the shorter input first'], NOTHING],
	['tollgate_price a input=1 output=2 cached_input=0.1 above=200k input=2 output=3;',
		['"cached_input=" is given for shorter or for longer inputs', 'on both sides, or on none'],
		'tollgate_price a input=1 output=2 cached_input=0.1 above=200k input=2 output=3 cached_input=0.2;'],
	['tollgate_price a input=1 output=2 above=200k input=2 output=1;', ['"output=" is less behind "above="',
		'as much, or more'], 'tollgate_price a input=1 output=2 above=200k input=1 output=2;'],
	['tollgate_price a input=1 output=2 cache_write_1h=2;', ['"cache_write_1h=" needs "cache_write="'],
		'tollgate_price a input=1 output=2 cache_write=1.25 cache_write_1h=2;'],
	['tollgate_price a input=1 output=2 cache_write=3 cache_write_1h=2;', ['exchange them'],
		'tollgate_price a input=1 output=2 cache_write=0.5;'],
	['tollgate_price a* input=1 output=2; tollgate_price ab input=1 output=2;',
		['"tollgate_price ab"', 'never reached', '"a*"', 'put the narrower pattern first'],
		'tollgate_price ab input=1 output=2; tollgate_price a* input=1 output=2;'],
);
for (@http) {
	my ($wrong, $message, $right) = @$_;
	push @refused, ["http, '$wrong'", $message, in_http("$wrong # !")];
	push @accepted, ["http, '$right'", in_http($right)] if defined $right;
}

# Other names of models.
for (
	['tollgate_model_alias a;', ['takes an alias and the name of a model', '"off"'], 'tollgate_model_alias off;'],
	['tollgate_model_alias a a;', ['"tollgate_model_alias a"', 'the name of its model'], 'tollgate_model_alias a b;'],
	["tollgate_model_alias a b;\ntollgate_model_alias a c;", ['the alias is there already, for "b"', 'keep one'],
		"tollgate_model_alias a c;\ntollgate_model_alias b c;"],
	["tollgate_model_alias a b;\ntollgate_model_alias c a;", ['"a" is an alias itself', 'name "b" in its place'], NOTHING],
	["tollgate_model_alias a b;\ntollgate_model_alias b c;", ['the model of the alias "a"', 'another name'], NOTHING],
	["tollgate_model_alias a b;\ntollgate_model_alias b a;", ['"a" is an alias itself'], NOTHING],
	['tollgate_model_alias a* b;', ['"tollgate_model_alias a*"', 'invalid name "a*"', 'patterns'], NOTHING],
	['tollgate_model_alias a $b;', ['invalid name "$b"', 'without variables'], NOTHING],
	['tollgate_model_alias "" b;', ['invalid name ""'], NOTHING],
	['tollgate_model_alias off b;', ['invalid name "off"'], NOTHING],
	["tollgate_model_alias a b;\ntollgate_model_alias off;", ['"tollgate_model_alias" directive is duplicate'], NOTHING],
	["tollgate_model_alias off;\ntollgate_model_alias a b;", ['is off here already', 'leave "off" out'], NOTHING],
	["tollgate_model m;\ntollgate_model_alias a b;", ['has no effect with "tollgate_model m"', 'tollgate_model off;'],
		"tollgate_model m;\ntollgate_model_alias off;"],
) {
	my ($wrong, $message, $right) = @$_;
	push @refused, ["location, '$wrong'", $message, location => "$usual{location}\n$wrong # !"];
	push @accepted, ["location, '$right'", location => "$usual{location}\n$right"] if defined $right;
}

# Budgets that a rule, or a tier, has prices for.
my $rule = 'tollgate_limit x key=a budget=20/day;';
push @refused, ['budget of a rule, without prices', ['"budget" of "tollgate_limit x"', 'needs prices'],
	http => "$usual{http}\n$rule # !", location => "$usual{location}\ntollgate_apply x;"];
push @accepted, (
	['budget of a rule, with a price', http => "$usual{http}\n$rule\ntollgate_price * input=1 output=2;",
		location => "$usual{location}\ntollgate_apply x;"],
	['budget of a tier, with a price', http =>
		"$usual{http}\ntollgate_tier x { budget 1/day; }\ntollgate_price a input=1 output=2;"],
	['a price of an alias that is a model elsewhere', http => "$usual{http}\ntollgate_price a input=1 output=1;",
		location => "$usual{location}\ntollgate_model_alias a b;",
		server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n}"],
	['every limit of a rule', http => "$usual{http}\n" . 'tollgate_limit x key=$host:$uri requests=1r/s '
		. 'burst=5 requests=2r/h auth_failures=3r/m burst=9 tokens=1k/m burst=2k tokens=9k/d '
		. 'input_tokens=1k/m output_tokens=1k/m concurrency=8 queue=16 timeout=5s budget=20/day '
		. "budget=1/hour;\ntollgate_price * input=1 output=2;",
		location => "$usual{location}\ntollgate_apply x;"],
	['nobody, with a limit on concurrency', http => "$usual{http}\ntollgate_limit x key=a concurrency=1;",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply x;"],
	['tenants of tokens', http => "$usual{http}\n" . 'tollgate_limit x key=$tollgate_tenant requests=1r/s;',
		location => "tollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_jwt_claim tenant org.id; tollgate_apply x;'],
	['a map of tenants of tokens', http => "$usual{http}\n" . 'tollgate_limit x key=$group requests=1r/s;'
		. ' map $tollgate_tenant $group { default $tollgate_tenant; acme gold; }',
		location => "tollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_jwt_claim tenant org.id; tollgate_apply x;'],
	['a map of tenants that has a value for those without', http => "$usual{http}\n"
		. 'tollgate_limit x key=$group requests=1r/s; map $tollgate_tenant $group { default rest; acme gold; }',
		location => "$usual{location}\ntollgate_apply x;"],
	['tenants of tokens, and API keys', http => "$usual{http}\n"
		. 'tollgate_limit x key=$tollgate_tenant requests=1r/s;',
		location => "$usual{location}\ntollgate_auth api_key jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_jwt_claim tenant org.id; tollgate_apply x;'],
	['tenants in one of the places of a rule', http => "$usual{http}\n"
		. "tollgate_limit x key=\$tollgate_tenant requests=1r/s;\ntollgate_apply x;",
		server => "location /jwt {\ntollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. "tollgate_jwt_claim tenant org.id;\n}"],
	['clients, and what else is known', http => "$usual{http}\n"
		. 'tollgate_limit x key=$tollgate_client:$remote_addr requests=1r/s;',
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply x;"],
	['patterns of models that have a dot', http => "tollgate_zone zone=tollgate:1m;\n"
		. "tollgate_tier free { model qwen2.* { tokens 1k/m; } model * { tokens 2k/m; } }\n"
		. 'tollgate_price llama-3.* input=1 output=2;'],
	['models where bodies are read for the tokens', http => "$usual{http}\n"
		. 'tollgate_limit x key=$tollgate_model tokens=1k/m;',
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply x;"],
	['cached input, where one engine tells of it', http => "$usual{http}\ntollgate_tier x { tokens 1k/m cached=free; }",
		location => "$usual{location}\ntollgate_engine ollama;",
		server => "location /vllm {\ntollgate on;\ntollgate_api_keys keys.json;\ntollgate_engine vllm;\n}"],
	['a rule by model', http => "$usual{http}\n" . 'tollgate_limit x key=$tollgate_model tokens=1m/m;',
		location => "$usual{location}\ntollgate_apply x;"],
);
# What is wrong with a state shows when the zone is made; nginx knows no line then.
for (
	['a file of something else', 'is not a state file', 'choose another path', 'state' => '{"version": 1}'],
	['an empty file', 'is not a state file', 'choose another path', 'state' => ''],
	['a damaged file', 'is damaged', 'move it away', 'state' => "tgstate\n" . pack('Q<', 1) . 'x' x 200],
	['a file of a later version', 'has version 99', 'move it away', 'state' => "tgstate\n" . pack('Q<', 99)],
	['a directory', 'cannot read the state', 'not a file'],
) {
	my ($what, $message, $remedy, @file) = @$_;
	my $path = @file ? 'state-of-others' : '.';
	push @refused, ["state, $what", ['tollgate_zone "tollgate"', $message, $remedy, $path eq '.' ? $dir : $path],
		http => "tollgate_zone zone=tollgate:1m state=$dir/$path;\ntollgate_tier free { }",
		files => { @file ? ($path => $file[1]) : () }];
}
push @refused, (
	# nginx tells of variables when it has read everything, and in its own words
	['unknown variable in a key', ['unknown "tollgate_nothing" variable'],
		http => "$usual{http}\ntollgate_limit x key=\$tollgate_nothing requests=1r/s;"],
);
my $alias = "tollgate_zone zone=tollgate:1m;\ntollgate_model_alias a b;";
push @warned, (
	['a price of an alias', ['"a" in "tollgate_price" fits no model', 'an alias of "b"'],
		http => "$alias\ntollgate_tier free { }\ntollgate_price a input=1 output=1;"],
	['an alias in a tier', ['"a" in "tollgate_tier free" fits no model', 'write that in its place'],
		http => "$alias\ntollgate_tier free { model a { tokens 1k/m; } }"],
	['an alias among models', ['"a" in "tollgate_tier free" fits no model'],
		http => "$alias\ntollgate_tier free { models a b; }"],
	['cached input, and engines that tell of none', ['"cached=free" of "tollgate_tier x" has no effect', 'leave it out'],
		http => "$usual{http}\ntollgate_tier x { # !\ntokens 1k/m cached=free; }",
		location => "$usual{location}\ntollgate_engine ollama;"],
	['cached input of a rule, and such engines', ['"cached=free" of "tollgate_limit lim" has no effect'],
		http => "$usual{http}\ntollgate_limit lim key=a tokens=1k/m cached=free; # !",
		location => "$usual{location}\ntollgate_apply lim;\ntollgate_engine tgi;"],
	['a limit that is not applied', ['tollgate_limit "lim"', '"tollgate_apply lim"'],
		http => "$usual{http}\ntollgate_limit lim key=a tokens=1k/m; # !"],
	['a key without its dollar', ['"key=binary_remote_addr"', '"lim" (tollgate_limit)', 'a constant',
		'"key=$binary_remote_addr"'],
		http => "$usual{http}\ntollgate_limit lim key=binary_remote_addr requests=1r/s; # !",
		location => "$usual{location}\ntollgate_apply lim;"],
	['a key of ours without its dollar', ['"key=tollgate_tenant"', 'a constant', '"key=$tollgate_tenant"'],
		http => "$usual{http}\ntollgate_limit lim key=tollgate_tenant requests=1r/s; # !",
		location => "$usual{location}\ntollgate_apply lim;"],
	# Good patterns, by which something else may be meant.
	['a regular expression as a pattern of models', ['"model gpt.*" of tollgate_tier free fits only', 'write "gpt*"'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free {\nmodel gpt.* { tokens 1k/m; } # !\n}"],
	['a pattern for all other models', ['"model default" of tollgate_tier free fits only a model of that name',
		'write "*"'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free {\nmodel default { tokens 1k/m; } # !\n}"],
	['a word for no models', ['"off" of "models" of tollgate_tier free fits only a model of that name', 'leave it out'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free {\nmodels off; # !\n}"],
	['a price for all other models', ['"tollgate_price default" fits only a model of that name', 'write "*"'],
		http => "$usual{http}\ntollgate_price default input=1 output=2; # !"],
	['a price by a regular expression', ['"tollgate_price llama.*" fits only', 'write "llama*"'],
		http => "$usual{http}\ntollgate_price llama.* input=1 output=2; # !"],
	# Who is never known where the rule is applied.
	['tenants of API keys', ['"tollgate_apply lim" has no effect', '"$tollgate_tenant"',
		'add "tollgate_jwt_claim tenant CLAIM;"'],
		http => "$usual{http}\ntollgate_limit lim key=\$tollgate_tenant requests=1r/s;",
		location => "$usual{location}\ntollgate_apply lim; # !"],
	['tenants of API keys, in a text', ['"tollgate_apply lim" has no effect', '"$tollgate_tenant"'],
		http => "$usual{http}\ntollgate_limit lim key=t:\${Tollgate_Tenant} requests=1r/s;",
		location => "$usual{location}\ntollgate_apply lim; # !"],
	['a map of tenants of API keys', ['"tollgate_apply lim" has no effect',
		'"$group", a map of "$tollgate_tenant", in the key of', 'add "tollgate_jwt_claim tenant CLAIM;"'],
		http => "$usual{http}\ntollgate_limit lim key=\$group requests=1r/s;\n"
			. 'map $tollgate_tenant $group { default $tollgate_tenant; acme gold; }',
		location => "$usual{location}\ntollgate_apply lim; # !"],
	['tenants of tokens that name none', ['"tollgate_apply lim" has no effect', '"$tollgate_tenant"'],
		http => "$usual{http}\ntollgate_limit lim key=\$tollgate_tenant requests=1r/s;",
		location => "tollgate on;\ntollgate_auth jwt;\ntollgate_jwt_key_file secret;\n"
			. 'tollgate_jwt_claim tier plan; tollgate_apply lim; # !'],
	(map { ["clients where nobody authenticates, $_", ['"tollgate_apply lim" has no effect',
		"\"\$$_\"", 'nobody authenticates', '"key=$binary_remote_addr"'],
		http => "$usual{http}\ntollgate_limit lim key=\$$_ requests=1r/s;",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply lim; # !"] }
		qw/tollgate_client tollgate_tier tollgate_auth/),
	['keys of opaque tokens', ['"tollgate_apply lim" has no effect', '"$tollgate_key_id"', 'neither API keys'],
		http => "$usual{http}\ntollgate_limit lim key=\$tollgate_key_id requests=1r/s;",
		server => 'location = /_introspect { internal; return 204; }',
		location => "tollgate on;\ntollgate_auth introspection;\n"
			. 'tollgate_introspection_request /_introspect; tollgate_apply lim; # !'],
	['models where no body is read', ['"tollgate_apply lim" has no effect', '"$tollgate_model"',
		'no body is read'],
		http => "$usual{http}\ntollgate_limit lim key=\$tollgate_model requests=1r/s;",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply lim; # !"],
	['a limit that is applied where tollgate is off', ['tollgate_limit "lim"', '"tollgate_apply lim"'],
		http => "$usual{http}\ntollgate_limit lim key=a requests=1r/s; # !",
		location => "tollgate off;\ntollgate_apply lim;"],
);

###############################################################################
# in a location

my @location = (
	['tollgate_engine;', ['invalid number of arguments in "tollgate_engine"'], NOTHING],
	['tollgate_engine vLLM;', ['unknown engine "vLLM"', 'openai, vllm, sglang, tgi, llamacpp, ollama, anthropic'],
		NOTHING],
	['tollgate_engine vllm; tollgate_engine tgi;', ['"tollgate_engine" directive is duplicate'], NOTHING],
	map({ ["tollgate_engine $_ x;", ['invalid number of arguments'], "tollgate_engine $_;"] }
		qw/openai vllm sglang tgi llamacpp ollama anthropic/),
	['tollgate_max_body 1023;', ['invalid size "1023" in "tollgate_max_body"', '1k to 1g'],
		'tollgate_max_body 1k;'],
	['tollgate_max_body 2g;', ['invalid size "2g" in "tollgate_max_body"', '1k to 1g'],
		'tollgate_max_body 1g; client_max_body_size 1g;'],
	['tollgate_max_body 0;', ['invalid size "0" in "tollgate_max_body"'], NOTHING],
	['tollgate_max_body large;', ['invalid size "large" in "tollgate_max_body"'], NOTHING],
	['tollgate_max_body 1m; tollgate_max_body 2m;', ['"tollgate_max_body" directive is duplicate'], NOTHING],
	['tollgate_include_usage on;', ['"on" in "tollgate_include_usage"', '"auto" or "off"'],
		'tollgate_include_usage auto;'],
	['tollgate_include_usage never;', ['"never" in "tollgate_include_usage"', '"always"'],
		'tollgate_include_usage always;'],
	['tollgate_endpoints POST:/x;', ['"POST:/x" in "tollgate_endpoints"', 'begins with "+"', '"-"'],
		'tollgate_endpoints +POST:/x;'],
	['tollgate_endpoints +/x;', ['"+/x" in "tollgate_endpoints"', '"+POST:/path"'],
		'tollgate_endpoints -/x;'],
	['tollgate_endpoints +post:/x;', ['"+post:/x" in "tollgate_endpoints"', 'in capitals'],
		'tollgate_endpoints +*:/x;'],
	['tollgate_endpoints +POST:x;', ['"+POST:x" in "tollgate_endpoints"', 'begins with "/"'],
		'tollgate_endpoints +POST:*/x -POST:/y;'],
	['tollgate_endpoints +POST:/x:y;', ['"+POST:/x:y" in "tollgate_endpoints"', 'put "*" in its place'],
		'tollgate_endpoints +POST:/x*y;'],
	['tollgate_endpoints -HEAD:/x;', ['"-HEAD:/x" in "tollgate_endpoints"', 'GET (and HEAD with it)'],
		'tollgate_endpoints -GET:/x;'],
	['tollgate_endpoints -PSOT:/x;', ['"-PSOT:/x" in "tollgate_endpoints"', 'POST'],
		'tollgate_endpoints -POST:/x;'],
	['tollgate_endpoints -/x%20y;', ['"-/x%20y" in "tollgate_endpoints"', 'decoded'],
		'tollgate_endpoints "-/x y";'],
	['tollgate_endpoints -/x//y;', ['"-/x//y" in "tollgate_endpoints"', 'empty'],
		'tollgate_endpoints -/x/y;'],
	['tollgate_endpoints -/$host;', ['"-/$host" in "tollgate_endpoints"', 'no variables'], NOTHING],
	['tollgate_endpoints default +POST:/x;', ['"default" in "tollgate_endpoints"'],
		'tollgate_endpoints default;'],
	['tollgate_endpoints -/x; tollgate_endpoints -/y;', ['"tollgate_endpoints" directive is duplicate'],
		'tollgate_endpoints -/x -/y;'],
	['tollgate_endpoints;', ['invalid number of arguments in "tollgate_endpoints"'], NOTHING],
	['tollgate_model "";', ['invalid name "" in "tollgate_model"', '256 bytes', '"off"'],
		'tollgate_model off;'],
	['tollgate_model on;', ['invalid name "on" in "tollgate_model"'], NOTHING],
	['tollgate_model $uri;', ['invalid name "$uri" in "tollgate_model"', 'without variables'], NOTHING],
	['tollgate_model a b;', ['invalid number of arguments'], 'tollgate_model a/b:c;'],
	['tollgate_background maybe;', ['"maybe" in "tollgate_background"', '"on" or "off"'],
		'tollgate_background off;'],
	['tollgate_resumable_streams maybe;', ['"maybe" in "tollgate_resumable_streams"', '"on" or "off"'],
		'tollgate_resumable_streams off;'],
	['tollgate_include_usage off; tollgate_include_usage auto;',
		['"tollgate_include_usage" directive is duplicate'], 'tollgate_include_usage off;'],
	['tollgate_estimate;', ['invalid number of arguments in "tollgate_estimate"'],
		'tollgate_estimate output=500 bytes_per_token=3;'],
	['tollgate_estimate 4;', ['invalid parameter "4" of "tollgate_estimate"', '"bytes_per_token=N"'], NOTHING],
	['tollgate_estimate bytes_per_token=0;', ['"bytes_per_token=0" of "tollgate_estimate"', '1 to 16'],
		'tollgate_estimate bytes_per_token=1;'],
	['tollgate_estimate bytes_per_token=17;', ['"bytes_per_token=17" of "tollgate_estimate"', '1 to 16'],
		'tollgate_estimate bytes_per_token=16;'],
	['tollgate_estimate bytes_per_token=3.5;', ['"bytes_per_token=3.5" of "tollgate_estimate"'], NOTHING],
	['tollgate_estimate output=0;', ['"output=0" of "tollgate_estimate"', '1 to 10000000'],
		'tollgate_estimate output=1;'],
	['tollgate_estimate output=1k;', ['"output=1k" of "tollgate_estimate"', '1 to 10000000'],
		'tollgate_estimate output=10000000;'],
	['tollgate_estimate output=1 output=2;', ['invalid parameter "output=2"', 'each once'], NOTHING],
	['tollgate_estimate output=1; tollgate_estimate output=2;',
		['"tollgate_estimate" directive is duplicate'], NOTHING],
	['tollgate_oversized drop;', ['"drop" in "tollgate_oversized"', '"debt" or "refuse"'],
		'tollgate_oversized debt;'],
	['tollgate_oversized debt; tollgate_oversized refuse;', ['"tollgate_oversized" directive is duplicate'],
		'tollgate_oversized refuse;'],

	# What belongs into http, or into a tier.
	['tollgate_zone zone=x:1m;', ['"tollgate_zone" directive is not allowed here'], NOTHING],
	['tollgate_tier x { }', ['"tollgate_tier" directive is not allowed here'], NOTHING],
	['tollgate_limit x key=y requests=1r/s;', ['"tollgate_limit" directive is not allowed here'], NOTHING],
	['tollgate_price a input=1 output=1;', ['"tollgate_price" directive is not allowed here'], NOTHING],
	['tokens 1k/m;', ['"tokens" directive is not allowed here'], NOTHING],
	['if ($arg_a) { tollgate_engine vllm; }', ['"tollgate_engine" directive is not allowed here'], NOTHING],
);
for (@location) {
	my ($wrong, $message, $right) = @$_;
	push @refused, ["location, '$wrong'", $message, location => "$usual{location}\n$wrong # !"];
	push @accepted, ["location, '$right'", location => "$usual{location}\n$right"] if defined $right;
}
push @accepted, ['all that meters, for all servers, and other things in a location', http => join("\n",
	$usual{http}, 'tollgate_engine vllm;', 'tollgate_max_body 1m;', 'tollgate_include_usage off;',
	'tollgate_estimate output=100;', 'tollgate_oversized refuse;'),
	location => "$usual{location}\ntollgate_engine ollama;\ntollgate_max_body 2m;\nclient_max_body_size 2m;"];

# Bodies that nginx itself refuses.
my $large = 'tollgate_max_body 8m;';
push @accepted, (
	['as much as nginx allows', location => "$usual{location}\n$large\nclient_max_body_size 8m;"],
	['nginx allows anything', location => "$usual{location}\n$large\nclient_max_body_size 0;"],
	['nginx allows more', http => "$usual{http}\nclient_max_body_size 1g;\n$large"],
	['as much as nginx allows by default', location => "$usual{location}\ntollgate_max_body 1m;"],
	['nobody reads it', http => "$usual{http}\n$large\nclient_max_body_size 1k;",
		location => "$usual{location}\nclient_max_body_size 8m;",
		server => "location /off {\ntollgate off;\n}"],
	['no body is read', http => "$usual{http}\ntollgate_limit lim key=a requests=1r/s;",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply lim;\n$large"],
);
push @warned, (
	['more than nginx allows by default', ['"tollgate_max_body 8m"', '"client_max_body_size 1m"', '413',
		'add "client_max_body_size 8m;"'], location => "$usual{location}\n$large # !"],
	['more than nginx allows', ['"tollgate_max_body 8m"', '"client_max_body_size 100k"',
		'add "client_max_body_size 8m;"'], http => "$usual{http}\n$large # !\nclient_max_body_size 100k;"],
	['more than nginx allows in one location', ['"tollgate_max_body 8m"', '"client_max_body_size 1000"'],
		http => "$usual{http}\n$large # !\nclient_max_body_size 8m;",
		server => "location /small {\n$usual{location}\nclient_max_body_size 1000;\n}"],
);

$t->plan(@refused + 2 * @accepted + @warned);

###############################################################################

check_refused($t, $_) for @refused;
check_accepted($t, $_) for @accepted;
check_warned($t, $_) for @warned;

###############################################################################

# A line in http, with a zone if it isn't one, and a limit that is applied.
sub in_http {
	my ($line) = @_;
	my $zone = $line =~ /tollgate_zone/ ? '' : "tollgate_zone zone=tollgate:1m;\n";
	return (
		http => "${zone}tollgate_tier free { }\ntollgate_limit lim key=a requests=1r/s;\n$line",
		location => "$usual{location}\ntollgate_apply lim;",
	);
}

###############################################################################
