#!/usr/bin/perl

# A tenant is who is behind several clients: a field of the key, or a claim. The backend learns it from us and
# from nobody else, the log has it, and with tollgate_audit_fields what else a key says of itself.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get hs256 keys_file status/;
use Tollgate::Client;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant SECRET => '0123456789abcdef0123456789abcdef';

my $t = Test::Nginx->new()->has(qw/http auth_request proxy rewrite http_v2/)->has_daemon('curl')->plan(74);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone         zone=tollgate:1m;
    tollgate_tier         pro { }
    tollgate_tier         free { }
    tollgate_default_tier pro;
    tollgate_limit        everybody key=all requests=1000000r/h;
    tollgate_endpoints    +*:/*;

    log_format  tenant  "$tollgate_request_id [$tollgate_tenant]";
    access_log  %%TESTDIR%%/tenant.log tenant;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        # whatever a client may call a header
        underscores_in_headers  on;
        ignore_invalid_headers  off;

        tollgate               on;
        tollgate_auth          api_key jwt;
        tollgate_api_keys      keys.json;
        tollgate_jwt_key_file  secret;
        tollgate_jwt_claim     tenant org.tenant;
        tollgate_audit_log     %%TESTDIR%%/audit.log;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /fields/ {
            tollgate_audit_fields  name created metadata;
            proxy_pass             http://127.0.0.1:8081;

            location /fields/some/ {
                tollgate_audit_fields  metadata.seats metadata.none name;
                proxy_pass             http://127.0.0.1:8081;
            }

            location /fields/off/ {
                tollgate_audit_fields  off;
                proxy_pass             http://127.0.0.1:8081;
            }
        }

        location /prefixed/ {
            tollgate_jwt_client_prefix  other:;
            proxy_pass                  http://127.0.0.1:8081;
        }

        location /opaque/ {
            tollgate_auth                   introspection;
            tollgate_introspection_request  /introspect;
            proxy_pass                      http://127.0.0.1:8081;
        }

        location = /introspect {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8084;
        }

        location /asked/ {
            auth_request  /service;
            proxy_pass    http://127.0.0.1:8081;
        }

        location = /service {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8085;
        }

        location /pass/ {
            tollgate_pass_credentials  on;
            proxy_pass                 http://127.0.0.1:8081;
        }

        location /none/ {
            tollgate_auth   none;
            tollgate_apply  everybody;
            proxy_pass      http://127.0.0.1:8081;
        }

        location /any/ {
            satisfy     any;
            allow       all;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run  on;
            proxy_pass        http://127.0.0.1:8081;
        }

        location /off/ {
            tollgate    off;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /failing/ {
            error_page  502 = @fallback;
            proxy_pass  http://127.0.0.1:8083;
        }

        location @fallback {
            proxy_pass  http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        location / {
            default_type  application/json;
            return        200 '{"active":true,"sub":"opaque","org":{"tenant":"globex"}}';
        }
    }

    # Believes whoever says that he is of a tenant.
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        location / {
            if ($http_x_tenant_id) {
                return 403;
            }
            return 204;
        }
    }
}

EOC

my %about = (name => qq(Alice's "laptop"), created => '2026-01-02T03:04:05+01:00',
	metadata => { team => "caf\xe9", seats => 12, rate => 0.5, beta => JSON::PP::true });
$t->write_file('keys.json', keys_file(
	{ key => 'key-alice', id => 'k_a', client => 'alice', tenant => 'acme', %about },
	{ key => 'key-bob', id => 'k_b', client => 'bob', tenant => 'acme' },
	{ key => 'key-carol', id => 'k_c', client => 'carol', tenant => "Glob\xe9x Inc." },
	{ key => 'key-dave', id => 'k_d', client => 'dave' },
	{ key => 'key-erin', id => 'k_e', client => 'erin', tenant => 'acme', disabled => JSON::PP::true },
));
$t->write_file('secret', SECRET);
$t->run_daemon(\&backend, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

# of API keys

is(tenant('/', key('alice')), 'acme', 'of a key');
is(tenant('/', key('bob')), 'acme', 'of another client of the same tenant');
is(tenant('/', key('carol')), "Glob\xc3\xa9x Inc.", 'of another tenant');
is(tenant('/', key('dave')), '', 'of nobody');
is(tenant('/pass/', key('alice')), 'acme', 'beside the credential');

# of tokens

my $claims = { sub => 'jay', exp => time() + 3600, org => { tenant => 'acme' } };
is(tenant('/', token($claims)), 'acme', 'of a token');
is(tenant('/', token({ %$claims, org => {} })), '', 'of a token without one');
is(status(get('/', token({ %$claims, org => { tenant => '' } }))), 401, 'an empty claim is wrong');
is(status(get('/', token({ %$claims, org => { tenant => ['acme'] } }))), 401, 'and so is a list');
is(tenant('/prefixed/', token($claims)), 'other:acme', 'tokens of another issuer have other tenants');
is(tenant('/prefixed/', key('alice')), 'acme', 'keys beside them have not');
is(tenant('/opaque/', 'Authorization: Bearer some'), 'globex', 'of a token that its provider knows');

# what the client says about it, in any spelling that a backend could take for it

for my $name (qw/X-Tenant-ID x-tenant-id X_Tenant_ID X.Tenant.ID X-Tenant_ID X~Tenant!ID/) {
	for my $uri (qw!/ /pass/ /any/ /none/ /dry/!) {
		my $r = get($uri, "$name: root", 'X-Between: 1', key('dave'), "$name: root");
		is(status($r) . (http_content($r) =~ /root/ ? ' root' : ''), 200, "spelling $name, $uri");
	}
	is(tenant('/', "$name: root", key('alice'), "$name: root"), 'acme', "spelling $name, ours");
}
is(tenant('/off/', 'X-Tenant-ID: root'), 'root', 'off: nothing is touched');
is(tenant('/any/', key('alice'), 'X-Tenant-ID: root'), '', 'granted by another before we are asked');
is(tenant('/dry/', key('alice'), 'X-Tenant-ID: root'), 'acme', 'dry run, good key');
is(tenant('/dry/', 'X-Tenant-ID: root', 'X-API-Key: wrong'), '', 'dry run, wrong key');
is(status(get('/asked/', key('dave'), 'X-Tenant-ID: root')), 200, 'nor does auth_request hear of it');
is(tenant('/failing/', key('alice'), 'X-Tenant-ID: root'), 'acme', 'redirected');
my @innocent = ('X-Tenant: 1', 'X-Tenant-IDs: 2', 'My-X-Tenant-ID: 3');
is(scalar(() = http_content(get('/', key('alice'), @innocent)) =~ /: [1-3]\r/g), 3, 'similar names pass');

my $h2 = curl('--http2-prior-knowledge', '-i', '-H', key('alice'), '-H', 'X-Tenant-ID: root',
	'http://127.0.0.1:' . port(8082) . '/');
is(join(' ', $h2 =~ /^X-Tenant-ID: (.*?)\r?$/mgi), 'acme', 'HTTP/2');

###############################################################################

# the log

is(line($t, '/', key('alice'))->{tenant}, 'acme', 'a line has the tenant');
ok(!exists line($t, '/', key('dave'))->{tenant}, 'a line without');
is(line($t, '/', token($claims))->{tenant}, 'acme', 'a line of a token');
my $line = line($t, '/', key('erin'));
is("$line->{reason} $line->{client} $line->{tenant}", 'revoked_credential erin acme',
	'a line of a key that is refused');

my $fields = sub {
	my ($line) = @_;
	my %fields = map { ($_ => $line->{$_}) } grep { exists $line->{$_} } qw/name created metadata/;
	return \%fields;
};
# Each time anew: what is written of a principal is kept.
for my $round (1, 2) {
	is_deeply($fields->(line($t, '/', key('alice'))), {}, "fields, by default, $round");
	is_deeply($fields->(line($t, '/fields/', key('alice'))), \%about, "fields, all, $round");
	is_deeply($fields->(line($t, '/fields/some/', key('alice'))),
		{ name => $about{name}, metadata => { seats => 12 } }, "fields, some, $round");
	is_deeply($fields->(line($t, '/fields/off/', key('alice'))), {}, "fields, off, $round");
}
is_deeply($fields->(line($t, '/fields/', key('bob'))), {}, 'fields that a key has not');
is_deeply($fields->(line($t, '/fields/', token($claims))), {}, 'tokens have none');
is_deeply($fields->(line($t, '/fields/', key('erin'))), {}, 'nor have keys that are refused');

# a tenant that changes while nginx runs

my $text = $t->read_file('keys.json');
$text =~ s/"tenant":"acme"/"tenant":"initech"/g;
$t->write_file('keys.json.new', $text);
rename $t->testdir() . '/keys.json.new', $t->testdir() . '/keys.json';
my $changed;
poll { ($changed = tenant('/', key('alice'))) eq 'initech' };
is($changed, 'initech', 'another tenant, without a reload');

$t->stop();

my %of = $t->read_file('tenant.log') =~ /^(\S+) \[(.*)\]$/mg;
is($of{'seen-1'}, 'acme', 'the variable');
is($of{'seen-2'}, '-', 'the variable, of nobody');

###############################################################################

sub key {
	my ($name) = @_;
	return "X-API-Key: key-$name";
}

sub token {
	my ($claims) = @_;
	return 'Authorization: Bearer ' . hs256(SECRET, $claims);
}

# The X-Tenant-ID that the backend saw.
sub tenant {
	my ($uri, @lines) = @_;
	my $r = get($uri, @lines);
	return 'status ' . (status($r) // 'none') if (status($r) // 0) != 200;
	return join ', ', http_content($r) =~ /^X.Tenant.ID: (.*?)\r?$/mgi;
}

# The line of a request with these header lines.
my $requests;
sub line {
	my ($t, $uri, @lines) = @_;
	my $id = 'seen-' . ++$requests;
	get($uri, @lines, "X-Request-ID: $id");
	my ($line);
	poll { ($line) = (eval { $t->read_file('audit.log') } // '') =~ /^(.*"request_id":"$id".*)\n/m };
	return JSON::PP->new->utf8->decode($line // '{}');
}

# Answers with the head of the request as it came.
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
		print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($request)
			. "\r\nConnection: close\r\n\r\n$request";
		close $client;
	}
}

###############################################################################
