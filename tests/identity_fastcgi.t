#!/usr/bin/perl

# What a FastCGI application sees of a request. There, header names lose their case, and "-" becomes
# "_": spellings that were different come together.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get keys_file status /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http fastcgi/)->plan(12);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      pro { }
    tollgate_api_keys  keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        underscores_in_headers       on;
        ignore_invalid_headers       off;
        large_client_header_buffers  4 16k;

        tollgate on;
        tollgate_scheduler llm-d;

        location / {
            fastcgi_pass  127.0.0.1:8081;
            fastcgi_param REQUEST_URI $request_uri;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	{ key => 'tg_acme', client => 'acme', tenant => 'corp', tier => 'pro' },
	{ key => 'tg_bob', client => 'bob', tier => 'pro' },
));
$t->run_daemon(\&application, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

my @spoofed = map { "$_: root" } qw/X-Client-ID X_Client_ID x.client.id X-Client_Tier X-CLIENT-TIER
	X_Tenant_ID x.tenant-id X_LLM_D_Inference_Fairness_ID x.gateway.inference-objective X_Cache_Salt/;
my @key = ('X-API-Key: tg_acme', 'Authorization: Bearer tg_acme');

my $r = get('/', @spoofed, @key, 'X-Request-ID: one', 'X_Request_ID: two', 'X-Other: stays');
is(status($r), 200, 'request');
is(param($r, 'HTTP_X_CLIENT_ID'), 'acme', 'client');
is(param($r, 'HTTP_X_TENANT_ID'), 'corp', 'tenant');
is(param($r, 'HTTP_X_LLM_D_INFERENCE_FAIRNESS_ID'), 'corp', 'what the scheduler is told');
is(param($r, 'HTTP_X_CLIENT_TIER'), 'pro', 'tier');
is(param($r, 'HTTP_X_REQUEST_ID'), 'one', 'request id');
is(param($r, 'HTTP_X_OTHER'), 'stays', 'another header');
unlike($r, qr/root|tg_acme|two/, 'nothing of the client, and no credential');

$r = get('/', (@spoofed) x 20, @key, (@spoofed) x 20);
is(param($r, 'HTTP_X_CLIENT_ID'), 'acme', 'many lines, client');
unlike($r, qr/root|tg_acme/, 'many lines, nothing else');

$r = get('/', @spoofed, 'X-API-Key: tg_bob');
is(param($r, 'HTTP_X_TENANT_ID'), '', 'no tenant');
unlike($r, qr/root/, 'no tenant, nor one that the client names');

###############################################################################

# The values of all parameters of that name.
sub param {
	my ($r, $name) = @_;
	return join ' and ', (http_content($r) // '') =~ /^\Q$name\E=(.*)$/mg;
}

# A FastCGI application that answers with its parameters. See the FastCGI specification, section 3.
sub application {
	my ($port) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	while (my $client = $server->accept()) {
		my ($params, $is_complete) = ('', 0);
		while (read($client, my $head, 8) == 8) {
			my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $head;
			my $content = '';
			read $client, $content, $length + $padding if $length + $padding;
			$params .= substr $content, 0, $length if $type == 4;
			# The end of the body.
			$is_complete = 1, last if $type == 5 && $length == 0;
		}
		next unless $is_complete;

		my $text = "Content-Type: text/plain\r\n\r\n";
		while (length $params) {
			my @lengths = map { number(\$params) } 1, 2;
			my ($name, $value) = map { substr $params, 0, $_, '' } @lengths;
			$text .= "$name=$value\n";
		}
		print $client map { pack('CCnnCx', 1, $_->[0], 1, length $_->[1], 0) . $_->[1] }
			[6, $text], [6, ''], [3, "\0" x 8];
		close $client;
	}
}

# Takes a length off: one byte, or four of which the first has its high bit set.
sub number {
	my ($text) = @_;
	return unpack 'C', substr $$text, 0, 1, '' if ord $$text < 128;
	return 0x7fffffff & unpack 'N', substr $$text, 0, 4, '';
}

###############################################################################
