package Tollgate::Certs;

# Certificates of CAs and clients, made with openssl, and connections with them.

use strict;
use warnings;

use Digest::SHA qw/sha256 sha256_hex/;
use Exporter qw/import/;
use IPC::Open2 qw/open2/;
use MIME::Base64 qw/decode_base64 encode_base64url/;
use POSIX qw/strftime/;
use Test::Nginx qw/port/;
use Tollgate::Client qw/curl/;

our @EXPORT = qw/certs_in new_ca new_cert with_short_cert pem der_sha256 thumbprint with_cert tls_connection path_of
	put_file/;

my $dir;

# Names the test's directory, as no sub may refer to $t.
sub certs_in {
	($dir) = @_;
}

sub _openssl {
	my ($command) = @_;
	system("openssl $command >>$dir/openssl.out 2>&1") == 0 or die "openssl $command: $?\n";
}

# A CA: $name.pem and $name.key.
sub new_ca {
	my ($name) = @_;
	_openssl("ecparam -name prime256v1 -genkey -noout -out $dir/$name.key");
	_openssl("req -x509 -new -key $dir/$name.key -subj '/O=Example/CN=$name' -days 3 -out $dir/$name.pem");
	_write("$name.index", '');
	_write("$name.cnf", <<"CNF");
[ca]
default_ca = own
[own]
database = $dir/$name.index
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
[any]
organizationName = optional
commonName = optional
CNF
}

# A certificate of the CA $ca: $name.pem and $name.key. With san => 'URI:...,DNS:...', subject => '/CN=...',
# seconds => for so long, ca => 1.
sub new_cert {
	my ($ca, $name, %of) = @_;
	my $subject = $of{subject} // "/O=Example/CN=$name";
	_openssl("ecparam -name prime256v1 -genkey -noout -out $dir/$name.key");
	_openssl("req -new -key $dir/$name.key -subj '$subject' -multivalue-rdn -out $dir/$name.csr");
	my $usage = $of{ca} ? "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,keyCertSign\n"
		: "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
	$usage .= "subjectAltName=$of{san}\n" if $of{san};
	_write("$name.ext", $usage);
	my @utc = map { strftime('%Y%m%d%H%M%SZ', gmtime(time() + $_)) } -60, $of{seconds} // 86400;
	_openssl("ca -batch -notext -preserveDN -config $dir/$ca.cnf -cert $dir/$ca.pem -keyfile $dir/$ca.key "
		. "-startdate $utc[0] -enddate $utc[1] -extfile $dir/$name.ext -in $dir/$name.csr -out $dir/$name.pem");
}

# Has $ask->() use a certificate of the name "short" that ends soon: after twice the time of the last try, if that was too short
# for this machine. What $ask->() returned, if its first value is what is expected, and when the certificate ends.
sub with_short_cert {
	my ($expected, $of, $ask) = @_;
	my ($ends, @answer);
	for my $seconds (3, 6, 12, 24, 48, 96) {
		$ends = time() + $seconds;
		new_cert('ca', 'short', %$of, seconds => $seconds);
		@answer = $ask->();
		last if $answer[0] eq $expected;
	}
	# The second in which the certificate was made has begun before.
	return ($ends - 1, @answer);
}

sub pem {
	my ($name) = @_;
	open my $file, '<', "$dir/$name.pem" or die "$name.pem: $!\n";
	local $/;
	return <$file>;
}

sub _der {
	my ($base64) = pem($_[0]) =~ /-----BEGIN CERTIFICATE-----(.*?)-----END/s;
	return decode_base64($base64);
}

sub der_sha256 {
	return sha256_hex(_der($_[0]));
}

# x5t#S256
sub thumbprint {
	return encode_base64url(sha256(_der($_[0])));
}

# The response to a GET over TLS, with the certificate of this name; undef: without. Further arguments are those
# of curl.
sub with_cert {
	my ($name, $url, @more) = @_;
	my @cert = defined $name ? ('--cert', "$dir/$name.pem", '--key', "$dir/$name.key") : ();
	return curl('-i', '-k', '--http1.1', @cert, @more, $url);
}

# Where a file of this name is.
sub path_of {
	my ($name) = @_;
	return "$dir/$name";
}

# Puts a file in its place in one step.
sub put_file {
	my ($name, $text) = @_;
	_write("$name.new", $text);
	rename "$dir/$name.new", "$dir/$name" or die "$name: $!\n";
}

sub _write {
	my ($name, $text) = @_;
	open my $file, '>', "$dir/$name" or die "$name: $!\n";
	print $file $text;
	close $file;
}

# A connection that stays open, with the certificate of this name. Further arguments are those of s_client.
sub tls_connection {
	my ($name, $number, @more) = @_;
	my @cert = defined $name ? ('-cert', "$dir/$name.pem", '-key', "$dir/$name.key") : ();
	my @command = ('openssl', 's_client', '-quiet', '-connect', '127.0.0.1:' . port($number), @cert, @more);
	open my $old, '>&', \*STDERR or die;
	open STDERR, '>>', "$dir/openssl.out" or die;
	my $pid = open2(my $out, my $in, @command);
	open STDERR, '>&', $old or die;
	return bless { pid => $pid, in => $in, out => $out }, 'Tollgate::Certs::Connection';
}

package Tollgate::Certs::Connection;

# Sends a request, and reads the response, which must have a Content-Length.
sub ask {
	my ($self, $request) = @_;
	local $SIG{PIPE} = 'IGNORE';
	syswrite $self->{in}, $request;
	my $response = '';
	while (1) {
		if ($response =~ /^(.*?\r\n\r\n)(.*)$/s) {
			my ($head, $body) = ($1, $2);
			my ($length) = $head =~ /^Content-Length: (\d+)/mi;
			return $response if length $body >= ($length // 0);
		}
		sysread($self->{out}, $response, 65536, length $response) or return $response;
	}
}

sub close {
	my ($self) = @_;
	close $self->{in};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
}

1;
