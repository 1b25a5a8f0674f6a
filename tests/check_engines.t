#!/usr/bin/perl

# scripts/check-engines compares what an engine lists of itself with its table.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('python3')->plan(18)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location = /known/openapi.json {
            return 200 '{"paths":{"/v1/chat/completions":{"post":{}},"/v1/responses/{response_id}":{"get":{}},
                        "/metrics":{"get":{}},"/adapters/{adapter_name}":{"delete":{}}}}';
        }

        location = /newer/openapi.json {
            return 200 '{"paths":{"/v1/chat/completions":{"post":{},"get":{}},"/v2/what/{x}":{"post":{}}}}';
        }

        location = /keyed/openapi.json {
            if ($http_authorization != "Bearer sesame") {
                return 401;
            }
            return 200 '{"paths":{"/health":{"get":{}}}}';
        }

        location = /odd/openapi.json {
            return 200 '[]';
        }

        # An engine that lists nothing.
        location /tried/ {
            return 400;
        }

        location = /tried/api/embeddings {
            return 404;
        }

        location ~ ^/tried/api/(pull|signout|delete|ps)$ {
            access_log %%TESTDIR%%/touched.log;
            return 400;
        }

        location /whole/ {
            return 400;
        }
    }
}

EOC

$t->run();

my $url = 'http://127.0.0.1:' . port(8080);

# Exit status and output.
sub check {
	my (@words) = @_;
	my $output = `python3 "$FindBin::Bin/../scripts/check-engines" @words 2>&1`;
	return ($? >> 8, $output);
}

my ($status, $output) = check("$url/known", '--engine vllm');
is($status, 0, 'all in the table');
like($output, qr/^vllm: 4 routes listed, 0 not in the table; \d+ lines of the table not listed$/m, 'and said');

($status, $output) = check("$url/newer/", '--engine vllm');
is($status, 1, 'a newer version');
like($output, qr!^not in the table: POST /v2/what/\{x\}$!m, 'a new path');
like($output, qr!^not in the table: GET /v1/chat/completions$!m, 'a new method');
unlike($output, qr!POST /v1/chat!, 'and nothing else');

is((check("$url/keyed", '--engine sglang'))[0], 2, 'without its key');
is((check("$url/keyed", '--engine sglang', '--key sesame'))[0], 0, 'with its key');
is((check("$url/odd", '--engine vllm'))[0], 2, 'no list of routes');
is((check("$url/known", '--engine tgi'))[0], 2, 'a list elsewhere');

($status, $output) = check("$url/tried", '--engine ollama');
is($status, 1, 'tried: one is missing');
like($output, qr!^not served: POST /api/embeddings \(404\)$!m, 'tried: which');
is((check("$url/whole", '--engine ollama'))[0], 0, 'tried: all there');
like($t->read_file('touched.log'), qr!^(?:\S+ - - \[[^]]*\] "GET /tried/api/ps [^\n]*\n)+$!,
	'what changes the engine is not tried');

is((check('http://127.0.0.1:1', '--engine vllm'))[0], 2, 'nobody there');
is((check($url, '--engine openai'))[0], 2, 'an engine of which nobody knows all');
is((check($url))[0], 2, 'no engine');
($status, $output) = check('--help');
like("$status $output", qr/^0 Compares .*Exit status:/s, '--help');
