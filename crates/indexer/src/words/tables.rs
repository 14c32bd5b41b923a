//! How common words are in code, without looking.
//!
//! It was counted in windows of 30 lines of Python, Rust, JavaScript and C, each with the same weight; code that
//! retrieval is measured on was not among it.

/// Stems of words by how common they are, and the weight that each group has: the fourth root of its inverse
/// document frequency, by that of a rare word. Words in no group weigh 1.
pub(super) const COMMON: [(f32, &str); 3] = [
    (0.60, "0 1 2 3 a and const for funct if in is mak of return the thi to typ"),
    (
        0.72,
        "10 16 32 4 5 6 64 7 8 add all an any are argu array as assert at attribut b bas be boolean buff by c \
        call can charact clas cod config context copy d data def default defin e els end endif equal err f \
        fals fil flag float format from g h has i id imple import index inform integ it key length let list \
        map match maximum method mut n nam no nod non not null numb object on one only or p paramet point \
        pub r rang referenc represent result s see self set siz stat str struct t target test that tim tru u \
        use used v valu variabl vect void when which will with x y zero",
    ),
    (
        0.82,
        "00 01 100 11 12 128 13 14 15 17 18 19 20 21 23 24 25 256 30 509 86 9 activ addres aft algorithm \
        align allocat allow also alway api append apply argument asn assign async auto availabl axi back \
        basic becaus been befor begin between bind bit block both bound box break build but byt cach \
        calculat callback camera cannot cas cast category cert chang check child clang clear client clon \
        clos col column com common compar compfunc compil component comput connect constant construct \
        contain content continu control convert copyright cor count cplusplu crat creat current custom dat \
        datetim debug declar delet deprecat depth deriv descript detail df dictionary different direct \
        display distanc distribut divid do docu doe don dup dur each edg eith ele element elif empty enabl \
        encod entry enum error evaluat even event ex exampl except execut exist exp expect export express \
        ext extend extens extern fail featur field filt find first fit follow form found fram full function \
        generat geometry gh given gl global graph group handl hash hav head height help her html http icu \
        identifi ifdef ifndef ignor implement includ initializ inlin inn input insert instanc instead \
        interfac internal into invalid io isinstanc issu item iterat its j js k kind l label lambda last \
        left les level library licens light lik limit lin link llvm load local log long loop low m macro \
        mapp mark mask material math matrix may mem memory mesh messag minimum mod model modify modul mor \
        mov multi multiply must namespac need negativ next normal normaliz np nx o off offset ok old onc op \
        open openssl oper operat opt option optional ord org os ossl oth otherwis out output over own \
        parametriz parent pars part partial pas pass path pattern pd per pi pop posit possibl pow previou \
        print privat proces project property provid public push py pytest q query rais random raw read \
        receiv releas rend render replac request requir reserv right root row run saf sam sampl scal second \
        select send sequenc sery sett shad shap shar shift should sign signatur sinc singl sk skip slic so \
        som sort sourc spac specific specify split ssl st stabl stack standard start static statu stor \
        stream structur styl subtract such sum sup support switch symbol sympy sys system tabl tag tak \
        templat term text textur than then ther thes they thre tm token transform tre try tupl two ty \
        typedef uint und undefin uniform union unit unknown unsaf unsign unwrap up updat user using usiz \
        utility uv valid vers view w warn was we web weight wher whil width window without work would wrapp \
        writ www you z",
    ),
];
