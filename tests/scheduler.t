#!/usr/bin/perl

# tollgate_scheduler: what schedulers believe their gateway, they hear from us: whom a request is for, and how soon
# it is to be served. What clients say of that, or of the machine that is to serve it, is taken off.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(106);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_tier   gold { priority -10; objective interactive; }
    tollgate_tier   bulk { priority 5; objective batch.low-1; }
    tollgate_tier   plain { }
    tollgate_limit  everybody key=all requests=1000000r/h;
    tollgate_endpoints  +*:/*;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        underscores_in_headers  on;
        ignore_invalid_headers  off;

        tollgate           on;
        tollgate_api_keys  keys.json;
        tollgate_engine    vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /llm-d/ {
            tollgate_scheduler  llm-d;
            proxy_pass          http://127.0.0.1:8081/;

            location /llm-d/sglang/ {
                tollgate_engine  sglang;
                proxy_pass       http://127.0.0.1:8081/;
            }

            location /llm-d/none/ {
                tollgate_auth   none;
                tollgate_apply  everybody;
                proxy_pass      http://127.0.0.1:8081/;
            }

            location /llm-d/dry/ {
                tollgate_dry_run  on;
                proxy_pass        http://127.0.0.1:8081/;
            }

            location /llm-d/any/ {
                satisfy     any;
                allow       all;
                proxy_pass  http://127.0.0.1:8081/;
            }

            location /llm-d/failing/ {
                error_page  502 = @fallback;
                proxy_pass  http://127.0.0.1:8083;
            }
        }

        location @fallback {
            tollgate_scheduler  llm-d;
            proxy_pass          http://127.0.0.1:8081;
        }

        location /vllm/ {
            tollgate_scheduler  vllm;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /pass/ {
            tollgate_scheduler  pass;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate    off;
            proxy_pass  http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-alice', client => 'alice', tenant => 'acme', tier => 'gold' },
	{ key => 'key-bob', client => 'bob', tier => 'bulk' },
	{ key => 'key-carol', client => 'carol', tenant => 'acme', tier => 'plain' },
));
$t->run_daemon(\&backend, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my $chat = '/v1/chat/completions';
my $body = '{"model":"m","messages":[]}';

###############################################################################

# What clients say is taken off.

my @headers = qw/
	x-llm-d-inference-fairness-id x-gateway-inference-fairness-id
	x-llm-d-inference-objective x-gateway-inference-objective
	x-llm-d-model-name-rewrite x-gateway-model-name-rewrite
	x-llm-d-slo-ttft-ms x-slo-ttft-ms x-llm-d-slo-tpot-ms x-slo-tpot-ms
	x-gateway-destination-endpoint x-gateway-destination-endpoint-subset
	x-llm-d-what-comes-next x-prefiller-host-port x-encoder-hosts-ports x-data-parallel-host-port
	x-kv-cache-source-host-port x-data-parallel-rank x-smg-target-worker x-cache-salt
	x-override-priority x-override-bootstrap-host endpoint-load-metrics-format
/;
for my $name (@headers) {
	my @spellings = ($name, uc $name, $name =~ tr/-/_/r, $name =~ tr/-/./r);
	my @left;
	for my $place ('', qw!/llm-d /vllm /llm-d/none /llm-d/dry /llm-d/any!) {
		for my $spelling (@spellings) {
			my $r = ask_with("$place$chat", $body, 'alice', "$spelling: root", 'X-Between: 1', "$spelling: root");
			push @left, "$place $spelling" if status($r) != 200 || http_content($r) =~ /root/;
		}
	}
	is(join(', ', @left), '', "taken off: $name");
	like(http_content(ask_with("/pass$chat", $body, 'alice', "$name: root")), qr/^$name: root\r$/mi,
		"passes where it may: $name");
	like(http_content(ask_with("/off$chat", $body, 'alice', "$name: root")), qr/^$name: root\r$/mi,
		"passes where we have no say: $name");
}
for my $name (qw/x-original-path x-forwarded-path/) {
	my $r = ask_with("/llm-d$chat", $body, 'alice', "$name: root", $name =~ tr/-/_/r . ': root');
	unlike(http_content($r), qr/root/, "llm-d: taken off: $name");
	like(http_content(ask_with($chat, $body, 'alice', "$name: root")), qr/^$name: root\r$/mi,
		"passes before others: $name");
}
my @innocent = map { "$_: 1" } qw/X-Session-ID X-Llm X-Gateway X-Cache-Salts X-SLO-Other X-Data-Parallel X-Overrides Endpoint-Load traceparent/;
my $r = ask_with("/llm-d$chat", $body, 'alice', @innocent);
is(scalar(() = http_content($r) =~ /: 1\r/g), scalar @innocent, 'similar names pass');

# and set from the principal

for my $prefix (qw/X-LLM-D X-Gateway/) {
	my $of = sub {
		my ($place, $client) = @_;
		my $r = ask_with("$place$chat", $body, $client, map { "$_: root" } @headers);
		return join ' ', map { seen($r, "$prefix-Inference-$_") } qw/Fairness-ID Objective/;
	};
	is($of->('/llm-d', 'alice'), 'acme interactive', "$prefix, tenant and objective");
	is($of->('/llm-d', 'bob'), 'bob batch.low-1', "$prefix, without a tenant: the client");
	is($of->('/llm-d', 'carol'), 'acme', "$prefix, a tier without objective");
	is($of->('/llm-d/sglang', 'alice'), 'acme interactive', "$prefix, another engine");
	is($of->('/llm-d/dry', 'alice'), 'acme interactive', "$prefix, dry run");
	is($of->('/llm-d/failing', 'alice'), 'acme interactive', "$prefix, redirected, once");
	is($of->($_, 'alice'), '', "$prefix, nobody: $_") for qw!/llm-d/none /llm-d/any!, '', '/vllm';
}

my $h2 = curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-alice', '-H', 'X-LLM-D-Inference-Objective: root',
	'-H', 'Content-Type: application/json', '-d', $body, 'http://127.0.0.1:' . port(8082) . "/llm-d$chat");
is(join(' ', $h2 =~ /^X-LLM-D-Inference-Objective: (.*?)\r?$/mgi), 'interactive', 'HTTP/2');

###############################################################################

# priority, in the body

my $priority = sub {
	my ($place, $client, $said) = @_;
	my $sent = defined $said ? qq({"priority":$said,) . substr($body, 1) : $body;
	my ($got) = http_content(ask_with("$place$chat", $sent, $client)) =~ /\r\n\r\n(.*)$/s;
	my $priority = JSON::PP->new->decode($got)->{priority};
	return $priority // 'none';
};
is($priority->('/vllm', 'alice'), -10, "priority of the tier");
is($priority->('/vllm', 'alice', '-100'), -10, "in place of the client's");
is($priority->('/vllm', 'bob', '"x"'), 5, 'whatever that is');
is($priority->('/vllm', 'carol'), 'none', 'a tier without one');
is($priority->('/vllm', 'carol', '-100'), 'none', "nor may the client say it");
is($priority->('/llm-d', 'alice', '-100'), -10, 'behind llm-d, vLLM as well');
is($priority->('/llm-d/sglang', 'alice', '-100'), 'none', 'to other engines it is not said');
is(status(ask_with($chat, '{"priority":-100,' . substr($body, 1), 'carol')), 403,
	'off: nor may the client say it, unless its tier allows that');
is($priority->('/pass', 'carol', '-100'), -100, 'pass: bodies stay');
is(status(ask_with("/vllm$chat", '{"priority":1,"priority":2,' . substr($body, 1), 'carol')), 400, 'twice');
is(status(ask_with("/vllm$chat", '{"Priority":1,' . substr($body, 1), 'carol')), 400, 'in another spelling');

###############################################################################

sub ask_with {
	my ($uri, $body, $client, @lines) = @_;
	return http(join("\r\n", "POST $uri HTTP/1.0", 'Host: localhost', "X-API-Key: key-$client",
		'Content-Type: application/json', 'Content-Length: ' . length $body, @lines, '', $body));
}

sub seen {
	my ($r, $name) = @_;
	return http_content($r) =~ /^\Q$name\E: (.*?)\r$/mgi;
}

# Answers with the request as it came.
sub backend {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 128,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";
	while (my $client = $server->accept()) {
		my $request = '';
		while (my $line = <$client>) {
			$request .= $line;
			last if $line eq "\r\n";
		}
		my ($length) = $request =~ /^Content-Length: (\d+)/mi;
		read $client, my $body, $length if $length;
		$request .= $body // '';
		print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($request)
			. "\r\nConnection: close\r\n\r\n$request";
		close $client;
	}
}

###############################################################################
