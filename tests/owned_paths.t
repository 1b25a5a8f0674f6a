#!/usr/bin/perl

# tollgate_owned_objects judges the path that the engine reads: however a client spells it, and however a location
# forwards it, no spelling leads to what another client keeps.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my %styles = (
	plain => 'proxy_pass http://127.0.0.1:8081;',
	replaced => 'proxy_pass http://127.0.0.1:8081/;',
	variable => 'proxy_pass http://127.0.0.1:8081$uri$is_args$args;',
	rewritten => 'rewrite ^(.*)$ $1 break; proxy_pass http://127.0.0.1:8081;',
	prefixed => 'rewrite ^(.*)$ /llm$1 break; proxy_pass http://127.0.0.1:8081;',
	unparsed => 'proxy_pass http://127.0.0.1:8081$request_uri;',
);
my @styles = sort keys %styles;
my $servers = join '', map {
	my $number = 8090 + $_;
	"server { listen 127.0.0.1:$number; server_name localhost; "
		. ($_ % 2 ? 'merge_slashes off; ' : '') . "location / { $styles{$styles[$_]} } }\n";
} 0 .. $#styles;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone           zone=tollgate:1m;
    tollgate_owned_objects  zone=objects:1m;

    tollgate_tier          plain  { }
    tollgate_default_tier  plain;
    tollgate_api_keys      keys.json;

    # Nothing but who owns it keeps anybody from anything.
    tollgate_endpoints  +*:/*;

    tollgate  on;

    %%SERVERS%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        tollgate       off;
        merge_slashes  off;

        add_header  X-Saw "$request_uri" always;

        location = /v1/files {
            if ($request_method = POST) {
                return 200 '{"id":"$http_x_makes","object":"file"}';
            }
            return 200 "{}";
        }

        location / {
            return 200 "{}";
        }
    }
}

EOC
$conf =~ s/%%SERVERS%%/$servers/;

my @spellings = (
	'/v1/files/file-A', '/v1/files/file-A/', '/v1/files/file-A//', '/v1//files/file-A', '//v1/files/file-A',
	'/v1/files//file-A', '/V1/Files/file-A', '/files/file-A', '/llm/v1/files/file-A', '/v1/files/file%2DA',
	'/v1/%66iles/file-A', '/v1/files/%66ile-A', '/v1/files/file%252DA', '/v1/files/file%25252DA',
	'/v1/files%2Ffile-A', '/v1/files%252Ffile-A', '/v1%2Ffiles%2Ffile-A', '/v1/files/file-A%2Fcontent',
	'/v1/files/file-A/content', '/v1/files/file-A/whatever/else', '/v1/files/./file-A', '/v1/x/../files/file-A',
	'/v1/files/x/../file-A', '/v1/files/%2e/file-A', '/v1/files/%2e%2e/files/file-A', '/v1/files/file-B/../file-A',
	'/v1/files/file-B%2F..%2Ffile-A', '/v1/files/file-B%2F%2e%2e%2Ffile-A', '/v1/files/..;/file-A',
	'/v1/files/file-A;x', '/v1/files/file-A?x', '/v1/files/file-A%3Fx', '/v1/files/file-A%3F', '/v1/files/file-A#x',
	'/v1/files/file-A%23x', '/v1/files/file-A%23', '/v1/files/file-A%0A', '/v1/files/file-A%00',
	'/v1/files/file-A%20', '/v1/files/%20file-A', '/v1/files/file-A%09', '/v1/files/file-A%5C', '/v1\\files\\file-A',
	'http://localhost/v1/files/file-A', 'http://other/v1/files/file%2DA', '/v1/files/file-B/v1/files/file-A',
	'/v1/files/file-B/files/file-A', '/v1/files/v1/files/file-A', '/v1/files/file-A/v1/files/file-B',
	'/v1/responses/x/files/file-A', '/v1/vector_stores/files/file-A', '/v1/files/file-B%3F/../file-A',
	'/v1/files/file-B?/../file-A', '/v1/files/FILE-A', '/v1/files/file-A%E2%80%8B', '/v1/files/file-%C1%81',
	'/v1/files/file-B%26/file-A', '/v1/containers/x/files/file-A',
);

$t->plan(@spellings * @styles * 2 + @styles * 5);
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(
	{ key => 'key-a', client => 'a' }, { key => 'key-b', client => 'b' }));
$t->run();

###############################################################################

for my $index (0 .. $#styles) {
	my $style = $styles[$index];
	my $port = 8090 + $index;
	for ([a => 'file-A'], [b => 'file-B']) {
		my ($client, $id) = @$_;
		my $r = ask(post('/v1/files', 'text', "X-API-Key: key-$client", "X-Makes: $id"));
		is(content_json($r)->{id}, $id, "$style: $id is made");
	}
	is(status(ask_as('a', 'GET', '/v1/files/file-A', $port)), 200, "$style: its client");
	is(status(ask_as('b', 'GET', '/v1/files/file-A', $port)), 404, "$style: another one");
	is(status(ask_as('b', 'GET', '/v1/files/file-B', $port)), 200, "$style: his own");
	for my $spelling (@spellings) {
		for my $method ('GET', 'DELETE') {
			my $saw = saw(ask_as('b', $method, $spelling, $port));
			ok(!grep({ names_it($_) } readings($saw)), "$style: $method $spelling")
				or diag("the engine saw $saw");
		}
	}
}

###############################################################################

sub ask_as {
	my ($client, $method, $uri, $port) = @_;
	return ask(request("$method $uri", "X-API-Key: key-$client"), port => $port);
}

# What came to the engine, if anything did.
sub saw {
	my ($response) = @_;
	return header($response // '', 'X-Saw') // '';
}

# What servers make of a target: some decode it before they look for its end or its segments, some after, some
# twice; some resolve dots.
sub readings {
	my ($target) = @_;
	my @all = ($target);
	push @all, map { (my $text = $_) =~ s/%([0-9a-f]{2})/chr hex $1/gie; $text } @all for 1 .. 2;
	return map { my $path = $_; $path =~ s/[?#].*//s; ($path, resolved($path)) } @all;
}

sub resolved {
	my ($path) = @_;
	1 while $path =~ s!/[^/]+/\.\.(?=/|$)!!;
	$path =~ s!/\.(?=/|$)!!g;
	return $path;
}

# A file of another client, at a path at which an engine has files.
sub names_it {
	my ($path) = @_;
	return $path =~ m!^(?:/llm)?(?:/v1)?/files/file-A(?:/content)?/*\s*$!i && $path =~ /file-A/;
}

###############################################################################
