#!/usr/bin/perl

# X-Forwarded-Client-Cert: only from proxies that are named, whatever realip makes of their address, and only
# where it says one thing.

use warnings;
use strict;

use Test::More;

use IO::Socket::UNIX;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header json status /;
use Tollgate::Client qw/ audit_lines connection poll request /;
use Tollgate::Certs;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite realip http_ssl/)
	->has_daemon('curl')->has_daemon('openssl');

$t->plan(49)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { }
    tollgate_api_keys  keys.json;

    ssl_certificate        server.pem;
    ssl_certificate_key    server.key;
    underscores_in_headers on;
    large_client_header_buffers 4 16k;

    add_header X-Client $tollgate_client always;
    add_header X-Auth   $tollgate_auth always;
    add_header X-Reason $tollgate_reason always;
    add_header X-From   $remote_addr always;

    set_real_ip_from 127.0.0.1;
    set_real_ip_from unix:;
    real_ip_header   X-Real-IP;
    proxy_hide_header X-From;

    tollgate             on;
    tollgate_auth        client_cert;
    tollgate_client_cert san_uri trust_domain=example.org;
    tollgate_xfcc_from   127.0.0.1 unix:;
    tollgate_audit_log   audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 ssl;
        listen       unix:%%TESTDIR%%/unix.sock;
        server_name  localhost;

        ssl_verify_client      optional;
        ssl_client_certificate ca.pem;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /dns {
            tollgate_client_cert san_dns *.example.org;
            proxy_pass http://127.0.0.1:8081;
        }

        location /cn {
            tollgate_client_cert cn;
            proxy_pass http://127.0.0.1:8081;
        }

        location /fingerprint {
            tollgate_client_cert fingerprint;
            proxy_pass http://127.0.0.1:8081;
        }

        location /strangers {
            tollgate_xfcc_from 192.0.2.0/24 2001:db8::/32;
            proxy_pass http://127.0.0.1:8081;
        }

        location /unix {
            tollgate_xfcc_from unix:;
            proxy_pass http://127.0.0.1:8081;
        }

        # Which is so in any case.
        location /keys {
            tollgate_auth      api_key;
            tollgate_xfcc_from off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /off {
            tollgate_xfcc_from off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pass {
            tollgate_pass_credentials on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /close {
            tollgate_on_revoke close;
            proxy_buffering    off;
            proxy_pass         http://127.0.0.1:8081/slow;
        }

        location = /led {
            error_page 404 = /off;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        tollgate     off;

        location / {
            return 200 "$http_x_client_id [$http_x_forwarded_client_cert]";
        }

        location = /slow {
            limit_rate 1k;
            alias      %%TESTDIR%%/slow.txt;
        }

        location = /led {
            return 404;
        }
    }
}

EOF

certs_in($t->testdir());
new_ca('ca');
new_ca('unknown');
my $spiffe = 'spiffe://example.org/ns/prod/sa';
new_cert('ca', 'server', san => 'DNS:localhost');
new_cert('ca', 'web', san => "URI:$spiffe/web,DNS:web.example.org", subject => '/CN=Web');
new_cert('ca', 'proxy', san => "URI:$spiffe/proxy");
new_cert('unknown', 'expired', san => "URI:$spiffe/web", seconds => -10);

$t->write_file('slow.txt', 'x' x 100_000);
$t->write_file('keys.json', json({ version => 1, keys => [
	{ id => 'web', cert => "$spiffe/web", client => 'acme', tier => 'free' },
	{ id => 'batch', cert => "$spiffe/batch", client => 'batch', tier => 'free' },
	{ id => 'proxy', cert => "$spiffe/proxy", client => 'proxy', tier => 'free' },
	{ id => 'dns', cert => 'dns:web.example.org', client => 'host', tier => 'free' },
	{ id => 'cn', cert => 'cn:Web', client => 'name', tier => 'free' },
	{ id => 'fp', cert => 'sha256:' . der_sha256('web'), client => 'finger', tier => 'free' },
] }));
$t->run();

sub told {
	my ($response) = @_;
	my $status = status($response) // 'none';
	return join ' ', $status, map { header($response, $_) // '-' } $status eq '200' ? qw/ X-Client X-Auth / : 'X-Reason';
}

sub with {
	my ($header, $uri, @more) = @_;
	return told(get($uri // '/', (defined $header ? "X-Forwarded-Client-Cert: $header" : ()), @more));
}

sub encoded {
	my ($text) = @_;
	$text =~ s/([^A-Za-z0-9.-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

my $hash = der_sha256('web');
my $by = 'By=spiffe://example.org/ns/prod/sa/tollgate';
my $element = qq!$by;Hash=$hash;Subject="O=Example,CN=Web";URI=$spiffe/web!;
my $good = '200 acme client_cert';
my $bad = '401 invalid_credential';
my $none = '401 missing_credential';

###############################################################################

# whose it is

is(with($element), $good, 'a proxy tells of a certificate');
is(with("$by;Hash=$hash;Subject=\"\";URI=$spiffe/batch"), '200 batch client_cert', 'and of another one');
is(with("$by;Hash=$hash;Subject=\"\";URI=$spiffe/stranger"), $bad, 'of one that nobody knows');
is(with("$by;Hash=$hash;Subject=\"\";URI=spiffe://evil/web"), $bad, 'of another trust domain');
is(with("$by;Hash=$hash;Subject=\"\";URI="), $bad, 'of one without a name');
is(with(undef), $none, 'of none');
is(with(''), $bad, 'of nothing');
is(with("DNS=other.example.net;DNS=WEB.example.org", '/dns'), '200 host client_cert', 'a host');
is(with("Hash=$hash", '/fingerprint'), '200 finger client_cert', 'a fingerprint');
is(with('Subject="CN=Web"', '/cn'), $bad, 'no common name, which is but text');
my $cert = encoded(pem('web'));
is(with(qq!Hash=$hash;Cert="$cert"!, '/cn'), '200 name client_cert', 'a common name, in the certificate itself');
is(with(qq!Cert="$cert"!), $good, 'the certificate itself');
is(with(qq!Cert="$cert";URI=$spiffe/batch!), $bad, 'which says something else');
is(with('Cert="' . encoded(pem('expired')) . '"'), '401 expired_credential', 'one that has expired');

# what could be read in two ways

is(with("$element,$by;Hash=$hash;Subject=\"\";URI=$spiffe/batch"), $bad, 'two elements');
is(with("$by;Hash=$hash;Subject=\"\";URI=$spiffe/batch,$element"), $bad, 'in the other order');
is(with("$element, $element"), $good, 'two that say the same');
is(with($element, '/', "X-Forwarded-Client-Cert: $element"), $bad, 'two header lines');
is(with("URI=$spiffe/web;URI=$spiffe/batch"), $bad, 'two names');
is(with(qq!Subject="CN=\\";URI=$spiffe/batch;By=\\"";URI=$spiffe/web!), $good, 'a name in a subject is none');
is(with(qq!Subject="CN=a;URI=$spiffe/web!), $bad, 'a quote that does not end');
is(with("$element;Issuer=a"), $bad, 'a key that nobody knows');
is(with("$element;"), $bad, 'an empty pair');
is(with("URI=$spiffe/web; By=a"), $bad, 'a blank before a key');
is(with('URI=' . 'a' x 12000), $bad, 'a long one');
is(told(get('/', "X_Forwarded_Client_Cert: $element")), $none, 'another spelling');

# who tells it

is(with($element, '/strangers'), $none, 'an address that is not named');
is(with($element, '/off'), $none, 'nobody is named');
is(with($element, '/unix'), $none, 'a socket is named, and not the address');
my $r = get('/strangers', "X-Forwarded-Client-Cert: $element", 'X-Real-IP: 192.0.2.1');
is(told($r) . ' ' . header($r, 'X-From'), "$none 192.0.2.1", 'the address that realip tells is not that of the proxy');
$r = get('/', "X-Forwarded-Client-Cert: $element", 'X-Real-IP: 192.0.2.1');
is(told($r) . ' ' . header($r, 'X-From'), "$good 192.0.2.1", 'nor does it hide that of the proxy');

sub at_socket {
	my ($uri) = @_;
	my $socket = IO::Socket::UNIX->new(path_of('unix.sock')) or die;
	return told(http("GET $uri HTTP/1.0\r\nHost: localhost\r\nX-Forwarded-Client-Cert: $element\r\n\r\n", socket => $socket));
}

is(at_socket('/unix'), $good, 'a socket');
is(at_socket('/strangers'), $none, 'a socket that is not named');

# where it is led to

is(with($element, '/led'), $none, 'led to where nobody may tell');
is(with(undef, '/led'), $none, 'the same without');

# what the backend sees

is(http_content(get('/', "X-Forwarded-Client-Cert: $element")), 'acme []', 'the backend gets no header');
is(http_content(get('/pass', "X-Forwarded-Client-Cert: $element")), 'acme []', 'not even with other credentials');
is(http_content(get('/', "X-Forwarded-Client-Cert: $element", 'X-Forwarded_Client-Cert: a')), 'acme []',
	'nor another spelling');

# TLS

my $url = 'https://localhost:' . port(8082);
is(told(with_cert('proxy', "$url/", '-H', "X-Forwarded-Client-Cert: $element")), $good,
	"the proxy's own certificate is not the client's");
is(told(with_cert('proxy', "$url/")), $none, 'not even if it tells of none');
is(told(with_cert('web', "$url/strangers")), $good, 'who is no proxy has a certificate of its own');
is(told(with_cert('web', "$url/strangers", '-H', "X-Forwarded-Client-Cert: URI=$spiffe/batch")), $good,
	'and no other one');
is(http_content(with_cert('web', "$url/strangers", '-H', "X-Forwarded-Client-Cert: URI=$spiffe/batch")), 'acme []',
	'of which the backend hears nothing');

# the log

my %details = map { $_ => 1 } grep { defined } map { $_->{detail} } audit_lines($t, 'audit.log', 40);
is_deeply([ grep { !$details{$_} } qw/ no_certificate xfcc_untrusted xfcc_malformed xfcc_several unknown_cert
	cert_ambiguous cert_without_name cert_expired / ], [], 'audit: what was wrong');

# revoked while a request runs, and its header has long been taken off

my $running = connection();
$running->send(request('/close', "X-Forwarded-Client-Cert: $element"));
$running->peek(sub { $_[0] =~ /\r\n\r\n.*x/s });
my $other = connection();
$other->send(request('/close', "X-Forwarded-Client-Cert: URI=$spiffe/batch"));
$other->peek(sub { $_[0] =~ /\r\n\r\n.*x/s });
my $keys = $t->read_file('keys.json');
$keys =~ s/("id":"web")/$1,"disabled":true/;
put_file('keys.json', $keys);
poll { with($element) ne $good };
is(with($element), '401 revoked_credential', 'its entry is disabled');
is($running->peek(sub { 0 }), undef, 'a request that runs comes to no end');
ok($running->{ended} && length $running->{buffer} < 50_000, 'and is cut off');
my $cut;
poll { ($cut) = grep { ($_->{path} // '') eq '/close' } audit_lines($t, 'audit.log') };
is("$cut->{decision} $cut->{reason} $cut->{client}", 'allow revoked_credential acme', 'and the log says why');
my $length = length $other->{buffer};
ok($other->peek(sub { length $_[0] > $length + 2000 }), 'another one goes on');
$_->close() for $running, $other;

###############################################################################
